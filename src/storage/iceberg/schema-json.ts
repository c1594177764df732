/**
 * A `TableDef` as Iceberg's schema, partition spec and sort order in JSON, and back.
 *
 * Columns are by field id; key columns become `identifier-field-ids` and are required, as the specification asks
 * (floats cannot be). Arka's own def, with what Iceberg has no place for, lives in the property `arka.table`.
 * @see https://iceberg.apache.org/spec/#appendix-c-json-serialization
 */
import { notSupported } from '../../errors.ts';
import type { ColumnDef, PartitionField, PgType, SortField, TableDef, TransformName } from '../../table-def.ts';
import { arrayTypeOf, elementOf, icebergType, numericTypmod, Oid, storedElement } from '../../types/pg-type.ts';

export interface SchemaField {
  readonly id: number;
  readonly name: string;
  readonly required: boolean;
  /** A primitive's name, or the object of a nested type. */
  readonly type: unknown;
  readonly doc?: string;
}

export interface IcebergSchema {
  readonly type: 'struct';
  readonly 'schema-id': number;
  readonly 'identifier-field-ids'?: readonly number[];
  readonly fields: readonly SchemaField[];
}

export interface SpecField {
  readonly 'source-id': number;
  readonly 'field-id': number;
  readonly name: string;
  readonly transform: string;
}

export interface PartitionSpec {
  readonly 'spec-id': number;
  readonly fields: readonly SpecField[];
}

export interface SortOrder {
  readonly 'order-id': number;
  readonly fields: readonly {
    readonly transform: string;
    readonly 'source-id': number;
    readonly direction: 'asc' | 'desc';
    readonly 'null-order': 'nulls-first' | 'nulls-last';
  }[];
}

export function schemaOf(def: TableDef): IcebergSchema {
  const key = new Set(def.key);
  return {
    type: 'struct',
    'schema-id': def.schemaId,
    ...(canIdentify(def) ? { 'identifier-field-ids': [...def.key] } : {}),
    fields: def.columns.map((column) => ({
      id: column.fieldId,
      name: column.name,
      required: column.notNull || key.has(column.fieldId),
      type: schemaType(column),
      ...(column.comment === undefined ? {} : { doc: column.comment }),
    })),
  };
}

function schemaType({ type, elementId }: ColumnDef): unknown {
  const element = elementOf(type);
  if (element === undefined) return icebergType(type);
  return { type: 'list', 'element-id': elementId, element: icebergType(element), 'element-required': false };
}

/** "Float, double, and optional fields cannot be used as identifier fields": such a key stays Arka's own. */
function canIdentify(def: TableDef): boolean {
  return (
    def.key.length > 0 &&
    def.columns.every(
      (column) =>
        !def.key.includes(column.fieldId) || (column.type.oid !== Oid.float4 && column.type.oid !== Oid.float8),
    )
  );
}

export function specOf(def: TableDef, specId: number): PartitionSpec {
  return {
    'spec-id': specId,
    fields: def.partition.map((field) => ({
      'source-id': field.sourceId,
      'field-id': field.fieldId,
      name: field.name,
      transform: transformText(field),
    })),
  };
}

export function sortOrderOf(def: TableDef): SortOrder {
  return {
    'order-id': def.sort.length === 0 ? 0 : 1,
    fields: def.sort.map((field) => ({
      transform: 'identity',
      'source-id': field.sourceId,
      direction: field.descending ? 'desc' : 'asc',
      'null-order': field.nullsFirst ? 'nulls-first' : 'nulls-last',
    })),
  };
}

export function transformText(field: Pick<PartitionField, 'transform' | 'arg'>): string {
  return field.transform === 'bucket' || field.transform === 'truncate'
    ? `${field.transform}[${field.arg}]`
    : field.transform;
}

const TRANSFORM = /^(identity|bucket|truncate|year|month|day|hour|void)(?:\[(\d+)\])?$/;

/** Null for a transform that this version does not know. */
export function parseSpecField(field: SpecField): PartitionField | null {
  const match = TRANSFORM.exec(field.transform);
  if (match === null) return null;
  return {
    sourceId: field['source-id'],
    fieldId: field['field-id'],
    name: field.name,
    transform: match[1] as TransformName,
    arg: Number(match[2] ?? 0),
  };
}

const PG_TYPES: Readonly<Record<string, number>> = {
  boolean: Oid.bool,
  int: Oid.int4,
  long: Oid.int8,
  float: Oid.float4,
  double: Oid.float8,
  date: Oid.date,
  time: Oid.time,
  timestamp: Oid.timestamp,
  timestamptz: Oid.timestamptz,
  string: Oid.text,
  uuid: Oid.uuid,
  binary: Oid.bytea,
};

/** The PostgreSQL type that holds an Iceberg type; null when there is none. */
export function pgTypeOf(type: unknown): PgType | null {
  const list = listOf(type);
  if (list !== null) {
    const element = pgTypeOf(list.element);
    const oid = element === null ? 0 : arrayTypeOf(element.oid);
    return element === null || storedElement(oid) === undefined ? null : { oid, typmod: element.typmod };
  }
  if (typeof type !== 'string') return null;
  const decimal = /^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$/.exec(type);
  if (decimal !== null) return { oid: Oid.numeric, typmod: numericTypmod(Number(decimal[1]), Number(decimal[2])) };
  const oid = PG_TYPES[type];
  return oid === undefined ? null : { oid, typmod: -1 };
}

/** Decimals compare without spaces: writers differ in them. */
export function sameType(a: unknown, b: unknown): boolean {
  return typeText(a) !== null && typeText(a) === typeText(b);
}

/** A primitive, or a list of one as `icebergType` writes it; null for others. */
function typeText(type: unknown): string | null {
  if (typeof type === 'string') return type.replaceAll(' ', '');
  const list = listOf(type);
  return list === null ? null : `list<${list.element.replaceAll(' ', '')}>`;
}

interface ListType {
  readonly element: string;
  readonly 'element-id': number;
}

/** A list of primitives; null for every other type. */
function listOf(type: unknown): ListType | null {
  const list = type as Partial<ListType> & { readonly type?: unknown };
  const isList = typeof type === 'object' && type !== null && list.type === 'list';
  return isList && typeof list.element === 'string' && typeof list['element-id'] === 'number'
    ? (list as ListType)
    : null;
}

/** What a column that is made of a field has of its elements. */
export function elementIdOf({ type }: SchemaField): Pick<ColumnDef, 'elementId'> {
  const list = listOf(type);
  return list === null ? {} : { elementId: list['element-id'] };
}

/** `doc` of a field is COMMENT ON COLUMN, whoever wrote it. */
export const commentOf = ({ doc }: SchemaField): Pick<ColumnDef, 'comment'> =>
  doc === undefined || doc === '' ? {} : { comment: doc };

export interface ForeignTable {
  readonly uuid: string;
  readonly oid: number;
  readonly schemaName: string;
  readonly name: string;
  readonly schema: IcebergSchema;
  readonly spec: PartitionSpec;
  readonly sort: SortOrder | undefined;
}

/**
 * A def for a table that another engine made: keyless unless it has identifier fields.
 * @throws {SqlError} 0A000 naming the column or partition field that Arka cannot hold
 */
export function deriveDef(table: ForeignTable): TableDef {
  const columns = table.schema.fields.map((field, i): ColumnDef => {
    const type = pgTypeOf(field.type);
    if (type === null)
      throw notSupported(
        `column "${field.name}" of Iceberg type ${typeof field.type === 'string' ? field.type : 'struct, list or map'}`,
      );
    return {
      name: field.name,
      fieldId: field.id,
      attnum: i + 1,
      type,
      notNull: field.required,
      default: null,
      ...elementIdOf(field),
      ...commentOf(field),
    };
  });
  const key = [...(table.schema['identifier-field-ids'] ?? [])];
  return {
    uuid: table.uuid,
    oid: table.oid,
    schema: table.schemaName,
    name: table.name,
    schemaId: table.schema['schema-id'],
    columns,
    key,
    keyName: key.length === 0 ? '' : `${table.name}_pkey`,
    partition: partitionFields(table.spec),
    sort: sortFields(table.sort),
    timeColumn: null,
    onConflict: 'error',
    indexes: [],
    options: {},
  };
}

export function partitionFields(spec: PartitionSpec): PartitionField[] {
  return spec.fields.map((field) => {
    const parsed = parseSpecField(field);
    if (parsed === null) throw notSupported(`partition transform ${field.transform}`);
    return parsed;
  });
}

function sortFields(order: SortOrder | undefined): SortField[] {
  return (order?.fields ?? [])
    .filter((field) => field.transform === 'identity')
    .map((field) => ({
      sourceId: field['source-id'],
      descending: field.direction === 'desc',
      nullsFirst: field['null-order'] === 'nulls-first',
    }));
}
