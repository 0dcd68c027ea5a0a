"""Loads messages with dlt, by its REST source, and prints how many rows there are then.

pip install 'dlt[duckdb,postgres,parquet]==1.31.0'; python dlt_messages.py PROJECT_URL TOKEN WAREHOUSE_URL DATASET installed|tuned
"""

import os
import sys

base, token, warehouse, dataset, how = sys.argv[1:]
tuned = how == "tuned"
if tuned:
    os.environ.update({
        "NORMALIZE__WORKERS": "2", "DATA_WRITER__BUFFER_MAX_ITEMS": "50000", "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "100000",
    })

import dlt
from dlt.sources.rest_api import rest_api_source

if warehouse.startswith("duckdb:"):
    destination, fast = dlt.destinations.duckdb(warehouse.removeprefix("duckdb://")), "parquet"
else:
    destination, fast = dlt.destinations.postgres(warehouse), "csv"

if __name__ == "__main__":
    source = rest_api_source({
        "client": {
            "base_url": base,
            "headers": {"Authorization": token if " " in token else "JWT " + token},
            "paginator": {"type": "page_number", "base_page": 0, "page_param": "page", "total_path": None},
        },
        "resource_defaults": {"primary_key": "_id", "write_disposition": "merge", "endpoint": {"params": {"limit": 50}}},
        "resources": ["messages"],
    })
    if tuned:
        source.max_table_nesting = 0
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name=dataset)
    pipeline.run(source, loader_file_format=fast if tuned else None)
    with pipeline.sql_client() as client:
        print(client.execute_sql("SELECT count(*) FROM messages")[0][0])
