"""Prints what dlt makes of the changes of changes_test.go, as that does: a document, then another one, merged into DuckDB by _id.

pip install 'dlt[duckdb]==1.31.0'; python changes_dlt.py
"""

import os
import tempfile

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
import duckdb

CHANGES = {
    "new key": ({}, {"mood": "fine"}),
    "whole number to fraction": ({"score": 1}, {"score": 1.5}),
    "number to text": ({"grade": 1.5}, {"grade": "n/a"}),
    "text to object": ({"note": "x"}, {"note": {"a": 1}}),
    "date to text": ({"seenAt": "2026-01-02T03:04:05.000Z"}, {"seenAt": "yesterday"}),
    "number past 64 bits": ({"big": 1}, {"big": 18446744073709551616}),
    "object nested deeper": ({"o": {"a": 1}}, {"o": {"a": {"b": 1}}}),
    "array of texts to array of objects": ({"marks": ["x"]}, {"marks": [{"tag": "y"}]}),
    "renamed key": ({"oldName": "x"}, {"newName": "y"}),
    "keys that differ by case": ({"lang": "a"}, {"lang": "a", "Lang": "b"}),
    "500 keys": ({}, {f"k{i}": i for i in range(500)}),
}

with tempfile.TemporaryDirectory() as folder:
    for n, (what, documents) in enumerate(CHANGES.items()):
        file = os.path.join(folder, f"change{n}.duckdb")
        pipeline = dlt.pipeline(f"change{n}", destination=dlt.destinations.duckdb(file), dataset_name="d", pipelines_dir=folder)
        print(what)
        for i, document in enumerate(documents):
            rows = dlt.resource([{"_id": str(i), **document}], name="bots", primary_key="_id", write_disposition="merge")
            try:
                pipeline.run(rows)
            except Exception as e:
                print("  stopped:", str(e.__cause__ or e).splitlines()[-1])
                break
        db = duckdb.connect(file, read_only=True)
        columns = db.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'd' AND table_name LIKE 'bots%' "
            "AND column_name NOT LIKE '\\_dlt%' ESCAPE '\\' AND column_name <> '_id' ORDER BY ALL"
        ).fetchall()
        if len(columns) > 10:
            print(f"  {len(columns)} columns")
            continue
        for table, column, kind in columns:
            order = "_id" if table == "bots" else "rowid"
            values = db.execute(f"SELECT coalesce(CAST({column} AS VARCHAR), 'null') FROM d.{table} ORDER BY {order}").fetchall()
            print(f"  {'' if table == 'bots' else table + '.'}{column} {kind}: " + ", then ".join(v for (v,) in values))
