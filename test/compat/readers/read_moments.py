"""PyIceberg and DuckDB's Iceberg extension, many tables in one process: read_moments.py < lines of METADATA_JSON.

Any metadata file will do, also one that later commits have replaced. Prints a line a file: [PyIceberg's answer, DuckDB's].
"""
import json
import os
import sys

import duckdb
from pyiceberg.table import StaticTable

import checksum

settings = {'extension_directory': os.environ['COMPAT_EXTENSIONS'], 'autoinstall_known_extensions': 'false'}
db = duckdb.connect(config=settings)
for extension in ('avro', 'iceberg'):
    db.execute(f'LOAD {extension}')
db.execute("SET TimeZone = 'UTC'")
for line in sys.stdin:
    location = checksum.local_path(line.strip())
    with open(location) as file:
        types = checksum.iceberg_types(file.read())
    tables = [
        StaticTable.from_metadata(location).scan().to_arrow(),
        db.execute('SELECT * FROM iceberg_scan(?)', [location]).to_arrow_table(),
    ]
    print(json.dumps([checksum.answer(table, types) for table in tables]))
