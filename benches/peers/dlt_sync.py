"""dlt with its scd2 strategy: dlt_sync.py BASE_URL ACCOUNT NAMESPACE TOKEN DATABASE_URL FOLDER."""

import os
import sys

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

base_url, account, namespace, token, database, folder = sys.argv[1:]
client = RESTClient(
    base_url=base_url,
    auth=BearerTokenAuth(token),
    paginator=JSONResponseCursorPaginator(cursor_path="result_info.cursor", cursor_param="cursor"),
    data_selector="result",
)


@dlt.resource(
    name="objects",
    write_disposition={"disposition": "merge", "strategy": "scd2"},
    columns={"id": {"data_type": "text", "nullable": False}, "has_stored_data": {"data_type": "bool"}},
)
def objects():
    path = f"/accounts/{account}/workers/durable_objects/namespaces/{namespace}/objects"
    for page in client.paginate(path, params={"limit": 10_000}):
        yield list(page)


pipeline = dlt.pipeline("inventory", pipelines_dir=folder, dataset_name="inventory",
                        destination=dlt.destinations.postgres(database))
pipeline.run(objects(), loader_file_format=os.environ.get("DLT_FORMAT", "csv"))
