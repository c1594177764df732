"""One answer for one table, whatever engine read it: the number of rows and a checksum for each column.

A value becomes one canonical text by its Iceberg type; the first 8 bytes of the texts' SHA-256, as little-endian
numbers, are added modulo 2^64. So neither the order of rows nor the engine's own types matter. test/compat/checksum.ts
makes the same texts from PostgreSQL's text form. Printed as JSON: {"rows": n, "columns": {name: [values, checksum]}}.
"""
import hashlib
import json
import math
import struct
from datetime import datetime, timezone
from uuid import UUID


def iceberg_types(text):
    """Column name → Iceberg type, from the current schema of the text of a metadata.json."""
    metadata = json.loads(text)
    (schema,) = [one for one in metadata['schemas'] if one['schema-id'] == metadata['current-schema-id']]
    return {field['name']: field['type'] for field in schema['fields']}


def local_path(location):
    return location[len('file://'):] if location.startswith('file://') else location


def canonical(value, kind):
    if isinstance(kind, dict):
        items = [None if item is None else canonical(item, kind['element']) for item in value]
        return json.dumps(items, separators=(',', ':'), ensure_ascii=False)
    if kind == 'boolean':
        return '1' if value else '0'
    if kind in ('int', 'long'):
        return str(int(value))
    if kind in ('float', 'double'):
        return 'nan' if math.isnan(value) else struct.pack('>d', value).hex()
    if kind.startswith('decimal'):
        return format(value, 'f')
    if kind == 'date':
        return value.strftime('%Y-%m-%d') if isinstance(value, datetime) else value.isoformat()
    if kind == 'time':
        return value.isoformat(timespec='microseconds')
    if kind.startswith('timestamp'):
        utc = value.astimezone(timezone.utc) if value.tzinfo is not None else value
        return utc.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')
    if kind == 'uuid':
        return (value if isinstance(value, UUID) else UUID(bytes=bytes(value)) if isinstance(value, (bytes, bytearray)) else UUID(value)).hex
    if kind == 'binary' or kind.startswith('fixed'):
        return bytes(value).hex()
    return str(value)


def answer(table, types):
    """The answer for a pyarrow table."""
    columns = {}
    for name, kind in types.items():
        texts = [canonical(value, kind) for value in table[name].to_pylist() if value is not None]
        total = sum(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'little') for text in texts)
        columns[name] = [len(texts), f'{total % (1 << 64):016x}']
    return {'rows': table.num_rows, 'columns': columns}


def report(table, types):
    print(json.dumps(answer(table, types)))
