"""DuckDB's Iceberg extension: read_duckdb.py METADATA_JSON. A store on S3 is in COMPAT_S3_ENDPOINT and AWS_*."""
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
if 'COMPAT_S3_ENDPOINT' in os.environ:
    endpoint = os.environ['COMPAT_S3_ENDPOINT'].removeprefix('http://')
    key, secret = os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY']
    db.execute(
        f"CREATE SECRET (TYPE s3, ENDPOINT '{endpoint}', KEY_ID '{key}', SECRET '{secret}', REGION 'us-east-1', "
        "URL_STYLE 'path', USE_SSL false)"
    )
table = db.execute('SELECT * FROM iceberg_scan(?)', [checksum.local_path(location)]).to_arrow_table()
(text,) = db.execute('SELECT content FROM read_text(?)', [checksum.local_path(location)]).fetchone()
checksum.report(table, checksum.iceberg_types(text))
