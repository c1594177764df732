"""Another engine writes: PyIceberg appends rows to an Arka table and deletes one. Arguments: CATALOG_DB NAMESPACE.TABLE FIRST LAST GONE"""
import sys

import pyarrow
from pyiceberg.catalog import load_catalog

source, name, first, last, gone = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
table = load_catalog('arka', type='sql', uri='sqlite:///' + source).load_table(name)
schema = table.schema().as_arrow()
rows = [{'id': number, 'v': number * 10} for number in range(first, last + 1)]
table.append(pyarrow.Table.from_pylist(rows, schema=schema))
table.delete(f'id == {gone}')
