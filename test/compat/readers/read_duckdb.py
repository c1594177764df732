"""DuckDB's Iceberg extension: read_duckdb.py METADATA_JSON."""
import os
import sys

import duckdb

import checksum

location = sys.argv[1]
settings = {'extension_directory': os.environ['COMPAT_EXTENSIONS'], 'autoinstall_known_extensions': 'false'}
db = duckdb.connect(config=settings)
for extension in ('avro', 'httpfs', 'iceberg'):
    db.execute(f'LOAD {extension}')
db.execute("SET TimeZone = 'UTC'")
table = db.execute('SELECT * FROM iceberg_scan(?)', [checksum.local_path(location)]).to_arrow_table()
checksum.report(table, checksum.iceberg_types(location))
