"""DuckDB's PostgreSQL reader, writing Parquet: duckdb_parquet.py HOW CONNECTION QUERY FILE."""

import pathlib
import sys

import duckdb

how, connection, query, file = sys.argv[1:]
packages = pathlib.Path(duckdb.__file__).parent.parent
extension = next(packages.glob("duckdb_ext/extensions/*/*/postgres_scanner.duckdb_extension"))
db = duckdb.connect()
db.execute(f"load '{extension}'")
db.execute(f"attach '{connection}' as record (type postgres, read_only)")
if how == "query":  # PostgreSQL runs the query as it is
    escaped = query.replace("'", "''")
    source = f"select * from postgres_query('record', '{escaped}')"
else:  # DuckDB reads the view and sorts
    source = query.replace("inventory.objects", "record.inventory.objects")
db.execute(f"copy ({source}) to '{file}' (format parquet, compression zstd)")
