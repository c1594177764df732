"""A table of every type that PyIceberg writes itself: write_reference.py FOLDER. Prints its metadata location.

The readers must agree on it before they judge another writer. The catalog is FOLDER/catalog.db, the table public.reference.
"""
import sys
from datetime import date, datetime, time, timezone
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg import types as iceberg

COLUMNS = [
    ('id', iceberg.LongType(), pa.int64(), [1, 2, 3]),
    ('flag', iceberg.BooleanType(), pa.bool_(), [True, False, None]),
    ('small', iceberg.IntegerType(), pa.int32(), [-(2**31), 2**31 - 1, None]),
    ('single', iceberg.FloatType(), pa.float32(), [0.1, -0.0, None]),
    ('double', iceberg.DoubleType(), pa.float64(), [1e300, float('nan'), None]),
    ('price', iceberg.DecimalType(12, 2), pa.decimal128(12, 2), [Decimal('1.50'), Decimal('-9999999999.99'), None]),
    ('name', iceberg.StringType(), pa.string(), ['', 'zażółć 🦆', None]),
    ('raw', iceberg.BinaryType(), pa.binary(), [b'', b'\x00\xff', None]),
    ('day', iceberg.DateType(), pa.date32(), [date(1, 1, 1), date(9999, 12, 31), None]),
    ('clock', iceberg.TimeType(), pa.time64('us'), [time(0), time(23, 59, 59, 999999), None]),
    ('local', iceberg.TimestampType(), pa.timestamp('us'), [datetime(1969, 12, 31, 23, 59, 59, 1), datetime(2026, 1, 2), None]),
    ('instant', iceberg.TimestamptzType(), pa.timestamp('us', 'UTC'), [datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), None, None]),
    ('uuid', iceberg.UUIDType(), pa.uuid(), [UUID(int=1), UUID(int=2**128 - 1), None]),
]

folder = sys.argv[1]
catalog = load_catalog('arka', type='sql', uri=f'sqlite:///{folder}/catalog.db', warehouse=f'file://{folder}/warehouse')
catalog.create_namespace('public')
fields = [iceberg.NestedField(at + 1, name, kind) for at, (name, kind, _, _) in enumerate(COLUMNS)]
table = catalog.create_table('public.reference', Schema(*fields))
table.append(pa.table({name: pa.array(values, arrow) for name, _, arrow, values in COLUMNS}))
print(table.metadata_location)
