/**
 * The Avro schemas of Iceberg v2 manifests and manifest lists, with the field ids of the specification.
 * @see https://iceberg.apache.org/spec/#manifests and #manifest-lists
 */
import type { PartitionField } from '../../table-def.ts';

type Json = object | string;
const field = (id: number, name: string, type: unknown): object => ({ name, type, 'field-id': id });
const optional = (id: number, name: string, type: Json): object => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
});
const list = (id: number, items: Json): object => ({ type: 'array', items, 'element-id': id });

/** Iceberg writes a map with int keys as an array of pairs. */
function intMap(keyId: number, valueId: number, value: string): object {
  return {
    type: 'array',
    logicalType: 'map',
    items: {
      type: 'record',
      name: `k${keyId}_v${valueId}`,
      fields: [field(keyId, 'key', 'int'), field(valueId, 'value', value)],
    },
  };
}

export const MANIFEST_LIST_SCHEMA = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    field(500, 'manifest_path', 'string'),
    field(501, 'manifest_length', 'long'),
    field(502, 'partition_spec_id', 'int'),
    field(517, 'content', 'int'),
    field(515, 'sequence_number', 'long'),
    field(516, 'min_sequence_number', 'long'),
    field(503, 'added_snapshot_id', 'long'),
    field(504, 'added_files_count', 'int'),
    field(505, 'existing_files_count', 'int'),
    field(506, 'deleted_files_count', 'int'),
    field(512, 'added_rows_count', 'long'),
    field(513, 'existing_rows_count', 'long'),
    field(514, 'deleted_rows_count', 'long'),
    optional(
      507,
      'partitions',
      list(508, {
        type: 'record',
        name: 'r508',
        fields: [
          field(509, 'contains_null', 'boolean'),
          optional(518, 'contains_nan', 'boolean'),
          optional(510, 'lower_bound', 'bytes'),
          optional(511, 'upper_bound', 'bytes'),
        ],
      }),
    ),
    optional(519, 'key_metadata', 'bytes'),
  ],
} as const;

export function manifestSchema(partition: readonly PartitionField[], types: readonly string[]): object {
  const dataFile = {
    type: 'record',
    name: 'r2',
    fields: [
      field(134, 'content', 'int'),
      field(100, 'file_path', 'string'),
      field(101, 'file_format', 'string'),
      field(102, 'partition', {
        type: 'record',
        name: 'r102',
        fields: partition.map((part, i) => ({
          ...optional(part.fieldId, avroName(part.name), avroPrimitive(types[i]!, part.fieldId)),
          'iceberg-field-name': part.name,
        })),
      }),
      field(103, 'record_count', 'long'),
      field(104, 'file_size_in_bytes', 'long'),
      optional(108, 'column_sizes', intMap(117, 118, 'long')),
      optional(109, 'value_counts', intMap(119, 120, 'long')),
      optional(110, 'null_value_counts', intMap(121, 122, 'long')),
      optional(137, 'nan_value_counts', intMap(138, 139, 'long')),
      optional(125, 'lower_bounds', intMap(126, 127, 'bytes')),
      optional(128, 'upper_bounds', intMap(129, 130, 'bytes')),
      optional(131, 'key_metadata', 'bytes'),
      optional(132, 'split_offsets', list(133, 'long')),
      optional(135, 'equality_ids', list(136, 'int')),
      optional(140, 'sort_order_id', 'int'),
      optional(143, 'referenced_data_file', 'string'),
    ],
  };
  return {
    type: 'record',
    name: 'manifest_entry',
    fields: [
      field(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      field(2, 'data_file', dataFile),
    ],
  };
}

/** Our names by field id, for files whose writer used others. */
export const FIELD_NAMES: ReadonlyMap<number, string> = collect([MANIFEST_LIST_SCHEMA, manifestSchema([], [])]);

function collect(schemas: readonly unknown[]): Map<number, string> {
  const names = new Map<number, string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    else if (typeof node === 'object' && node !== null) {
      const { 'field-id': id, name } = node as { 'field-id'?: number; name?: string };
      if (id !== undefined && name !== undefined) names.set(id, name);
      Object.values(node).forEach(visit);
    }
  };
  schemas.forEach(visit);
  return names;
}

/** How the specification maps a primitive type to Avro (appendix A). */
function avroPrimitive(type: string, fieldId: number): Json {
  switch (type) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
      return type;
    case 'binary':
      return 'bytes';
    case 'date':
      return { type: 'int', logicalType: 'date' };
    case 'time':
      return { type: 'long', logicalType: 'time-micros' };
    case 'timestamp':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': false };
    case 'timestamptz':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': true };
    case 'uuid':
      return { type: 'fixed', name: `uuid_fixed_${fieldId}`, size: 16, logicalType: 'uuid' };
    default: {
      const [precision, scale] = decimalModifier(type);
      return {
        type: 'fixed',
        name: `decimal_${precision}_${scale}_${fieldId}`,
        size: decimalSize(precision),
        logicalType: 'decimal',
        precision,
        scale,
      };
    }
  }
}

export function decimalModifier(type: string): readonly [precision: number, scale: number] {
  const match = /^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$/.exec(type);
  if (match === null) throw new TypeError(`${type} is no primitive type of a partition`);
  return [Number(match[1]), Number(match[2])];
}

/** "Stored as fixed, with the minimum number of bytes for the precision." */
export function decimalSize(precision: number): number {
  const most = 10n ** BigInt(precision) - 1n;
  let bytes = 1;
  while (BigInt.asIntN(bytes * 8, most) !== most) bytes++;
  return bytes;
}

/** An Avro name for any text, with other characters as `_x` and their code. */
export function avroName(name: string): string {
  const safe = Array.from(name, (char) =>
    /[A-Za-z0-9_]/.test(char) ? char : `_x${char.codePointAt(0)!.toString(16).toUpperCase()}`,
  ).join('');
  return /^[0-9]/.test(safe) ? `_${safe}` : safe === '' ? '_' : safe;
}
