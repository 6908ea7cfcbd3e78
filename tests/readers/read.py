"""Reads two datasets with one engine and prints the results as JSON: read.py ENGINE BEFORE AFTER."""

import json
import sys


def duckdb(before, after):
    import duckdb

    def table(path):
        return f"read_parquet('{path}/**/*.parquet', hive_partitioning = true)"

    def rows(sql):
        return duckdb.sql(sql).fetchall()

    types = {row[0]: row[1] for row in rows(f"describe select * from {table(after)}")}
    flags = dict(rows(f"select coalesce(has_stored_data::text, 'null'), count(*) from {table(after)} group by 1"))
    partitions = rows(f"select distinct account_id, namespace_id, snapshot from {table(after)}")
    flags_differ = "a.has_stored_data is distinct from b.has_stored_data"
    diff = rows(
        f"""select count(*) filter (where b.object_id is null), count(*) filter (where a.object_id is null),
                   count(*) filter (where a.object_id is not null and b.object_id is not null and {flags_differ})
            from {table(before)} b full join {table(after)} a using (namespace_id, object_id)"""
    )[0]
    return types, flags, partitions, diff


def pyarrow(before, after):
    import pyarrow.dataset

    def frame(path):
        return pyarrow.dataset.dataset(path, format="parquet", partitioning="hive", exclude_invalid_files=True)

    types = {field.name: str(field.type) for field in frame(after).schema}
    old, new = (frame(path).to_table().to_pandas() for path in (before, after))
    names = {True: "true", False: "false", None: "null"}
    flags = {}
    for flag in new["has_stored_data"]:
        flags[names[flag]] = flags.get(names[flag], 0) + 1
    partitions = new[["account_id", "namespace_id", "snapshot"]].drop_duplicates().values.tolist()
    old, new = (
        dict(zip(zip(t["namespace_id"], t["object_id"]), t["has_stored_data"])) for t in (old, new)
    )
    diff = [
        len(new.keys() - old.keys()),
        len(old.keys() - new.keys()),
        sum(old[key] is not new[key] for key in old.keys() & new.keys()),
    ]
    return types, flags, partitions, diff


def spark(before, after):
    from pyspark.sql import SparkSession, functions as f

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    # Spark must not read the manifest next to the parts.
    old, new = (session.read.option("pathGlobFilter", "*.parquet").parquet(path) for path in (before, after))
    types = dict(new.dtypes)
    flags = {row[0]: row[1] for row in new.groupBy(f.coalesce(f.col("has_stored_data").cast("string"), f.lit("null"))).count().collect()}
    partitions = [list(row) for row in new.select("account_id", "namespace_id", "snapshot").distinct().collect()]
    key = ["namespace_id", "object_id"]
    both = old.alias("b").join(new.alias("a"), key)
    diff = [
        new.join(old, key, "left_anti").count(),
        old.join(new, key, "left_anti").count(),
        both.where(~f.col("a.has_stored_data").eqNullSafe(f.col("b.has_stored_data"))).count(),
    ]
    return types, flags, partitions, diff


engine, before, after = sys.argv[1:]
types, flags, partitions, diff = {"duckdb": duckdb, "pyarrow": pyarrow, "spark": spark}[engine](before, after)
partitions = sorted([account, namespace, int(snapshot)] for account, namespace, snapshot in partitions)
print(json.dumps({"types": types, "flags": flags, "partitions": partitions, "diff": list(diff)}))
