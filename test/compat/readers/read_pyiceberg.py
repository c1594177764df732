"""PyIceberg: read_pyiceberg.py CATALOG_DB NAMESPACE.TABLE. Opens the SQLite catalog itself, so that is tested too.

A store on S3 is in PYICEBERG_CATALOG__ARKA__S3__*.
"""
import sys

from pyiceberg.catalog import load_catalog

import checksum

catalog_db, name = sys.argv[1:]
table = load_catalog('arka', type='sql', uri=f'sqlite:///{catalog_db}').load_table(name)
with table.io.new_input(table.metadata_location).open() as file:
    text = file.read()
checksum.report(table.scan().to_arrow(), checksum.iceberg_types(text))
