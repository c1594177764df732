/**
 * WITH (…) of CREATE TABLE: Arka's own options, Iceberg's write properties, and nothing else.
 *
 * partition_by is a list of Iceberg transforms, sort_by a list of columns with direction. Field ids of columns come
 * in; partition fields count from 1000 and are named as Iceberg's builders name them.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, PartitionField, SortField, TransformName } from '../table-def.ts';
import { isHashable, isWideNumeric, Oid } from '../types/pg-type.ts';
import { formatType } from '../types/format-type.ts';

export interface TableOptions {
  readonly timeColumn: number | null;
  readonly partition: readonly PartitionField[];
  readonly sort: readonly SortField[];
  readonly onConflict: 'error' | 'upsert';
  readonly options: Readonly<Record<string, string>>;
}

const FIRST_PARTITION_FIELD_ID = 1000;
const TIME_TYPES: readonly number[] = [Oid.date, Oid.timestamp, Oid.timestamptz];

/** @throws {SqlError} 22023, 42703, 42804 */
export function tableOptions(
  given: ReadonlyMap<string, string>,
  columns: readonly ColumnDef[],
  table: string,
): TableOptions {
  const options: Record<string, string> = {};
  for (const [name, value] of given) {
    if (OWN_OPTIONS.has(name) || isHeapParameter(name)) continue;
    if (!isIcebergProperty(name)) throw invalid(`unrecognized parameter "${name}"`);
    options[name] = value;
  }
  const onConflict = given.get('on_conflict') ?? 'error';
  if (onConflict !== 'error' && onConflict !== 'upsert') {
    throw invalid(`invalid value for parameter "on_conflict": "${onConflict}"`, 'Available values: error, upsert.');
  }
  return {
    timeColumn: timeColumn(given.get('time_column'), columns, table),
    partition: partitionFields(given.get('partition_by') ?? '', columns, table),
    sort: sortFields(given.get('sort_by') ?? '', columns, table),
    onConflict,
    options,
  };
}

export const OWN_OPTIONS: ReadonlySet<string> = new Set(['time_column', 'partition_by', 'sort_by', 'on_conflict']);

/** Properties of the Iceberg documentation ("Configuration", table properties); format-version is Arka's own setting. */
export function isIcebergProperty(name: string): boolean {
  return /^(write|read|commit|history|compatibility|gc)\.[a-z0-9.-]+$/.test(name);
}

/** PostgreSQL's parameters of a heap and its vacuum: there is none here, so they are taken, as in dumps and by pgbench, and mean nothing. */
export function isHeapParameter(name: string): boolean {
  return /^((toast\.)?(log_)?autovacuum_[a-z_]+|(toast\.)?vacuum_(truncate|index_cleanup)|fillfactor|toast_tuple_target|parallel_workers)$/.test(
    name,
  );
}

export function timeColumn(name: string | undefined, columns: readonly ColumnDef[], table: string): number | null {
  if (name === undefined)
    return (
      columns.find((column) => column.type.oid === Oid.timestamp || column.type.oid === Oid.timestamptz)?.fieldId ??
      null
    );
  if (name === '') return null;
  const column = columnNamed(name, columns, table);
  if (!TIME_TYPES.includes(column.type.oid)) {
    throw new SqlError(
      SqlState.datatypeMismatch,
      `time_column "${column.name}" is of type ${formatType(column.type)}`,
      { hint: 'It must be a date, timestamp or timestamptz column.' },
    );
  }
  return column.fieldId;
}

export function partitionFields(text: string, columns: readonly ColumnDef[], table: string): readonly PartitionField[] {
  const fields = splitList(text).map((item, index): PartitionField => {
    const { transform, arg, name } = parseTransform(item);
    const column = columnNamed(name, columns, table);
    checkTransform(transform, column, item);
    return {
      sourceId: column.fieldId,
      fieldId: FIRST_PARTITION_FIELD_ID + index,
      name: partitionName(column.name, transform),
      transform,
      arg,
    };
  });
  const seen = new Set<string>();
  for (const field of fields) {
    if (seen.has(field.name)) throw invalid(`duplicate partition field "${field.name}"`);
    seen.add(field.name);
    if (field.transform !== 'identity' && columns.some((column) => column.name === field.name)) {
      throw invalid(`partition field "${field.name}" has the name of a column`);
    }
  }
  return fields;
}

function partitionName(column: string, transform: TransformName): string {
  switch (transform) {
    case 'identity':
      return column;
    case 'truncate':
      return `${column}_trunc`;
    case 'void':
      return `${column}_null`;
    default:
      return `${column}_${transform}`;
  }
}

const TIME_TRANSFORMS: Readonly<Record<string, TransformName>> = {
  year: 'year',
  years: 'year',
  month: 'month',
  months: 'month',
  day: 'day',
  days: 'day',
  date: 'day',
  hour: 'hour',
  hours: 'hour',
  void: 'void',
  identity: 'identity',
};

function parseTransform(item: string): { transform: TransformName; arg: number; name: string } {
  const call = /^([a-z_]+)\s*\((.*)\)$/is.exec(item);
  if (call === null) return { transform: 'identity', arg: 0, name: item };
  const transform = call[1]!.toLowerCase();
  const args = splitList(call[2]!);
  if (transform === 'bucket' || transform === 'truncate') {
    const width = args.find((arg) => /^\d+$/.test(arg));
    const name = args.find((arg) => !/^\d+$/.test(arg));
    if (
      args.length !== 2 ||
      width === undefined ||
      name === undefined ||
      Number(width) < 1 ||
      Number(width) > 2147483647
    ) {
      throw invalid(`invalid partition transform "${item}"`, `Write ${transform}(N, column) with N above 0.`);
    }
    return { transform, arg: Number(width), name };
  }
  const known = TIME_TRANSFORMS[transform];
  if (known === undefined)
    throw invalid(
      `unknown partition transform "${call[1]}"`,
      'Available transforms: bucket, truncate, year, month, day, hour, void, and a plain column name.',
    );
  if (args.length !== 1) throw invalid(`invalid partition transform "${item}"`, `Write ${transform}(column).`);
  return { transform: known, arg: 0, name: args[0]! };
}

const TRANSFORM_TYPES: Readonly<Record<TransformName, readonly number[] | null>> = {
  identity: null,
  void: null,
  bucket: [
    Oid.int2,
    Oid.int4,
    Oid.int8,
    Oid.numeric,
    Oid.date,
    Oid.time,
    Oid.timestamp,
    Oid.timestamptz,
    Oid.text,
    Oid.varchar,
    Oid.bpchar,
    Oid.name,
    Oid.oid,
    Oid.uuid,
    Oid.bytea,
  ],
  truncate: [Oid.int2, Oid.int4, Oid.int8, Oid.numeric, Oid.text, Oid.varchar, Oid.bpchar, Oid.bytea],
  year: TIME_TYPES,
  month: TIME_TYPES,
  day: TIME_TYPES,
  hour: [Oid.timestamp, Oid.timestamptz],
};

function checkTransform(transform: TransformName, column: ColumnDef, item: string): void {
  const allowed = TRANSFORM_TYPES[transform];
  const refused =
    allowed === null
      ? transform === 'identity' && !isHashable(column.type)
      : !allowed.includes(column.type.oid) || isWideNumeric(column.type);
  if (refused)
    throw new SqlError(
      SqlState.datatypeMismatch,
      `partition transform "${item}" does not take a column of type ${formatType(column.type)}`,
    );
}

export function sortFields(text: string, columns: readonly ColumnDef[], table: string): readonly SortField[] {
  return splitList(text).map((item) => {
    const match = /^(".*"|\S+)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?$/is.exec(item);
    if (match === null)
      throw invalid(`invalid sort_by item "${item}"`, 'Write column [ASC | DESC] [NULLS FIRST | LAST].');
    const column = columnNamed(match[1]!, columns, table);
    if (!isHashable(column.type)) {
      throw new SqlError(
        SqlState.datatypeMismatch,
        `sort_by does not take a column of type ${formatType(column.type)}`,
      );
    }
    const descending = match[2]?.toLowerCase() === 'desc';
    const nullsFirst = match[3] === undefined ? descending : match[3].toLowerCase() === 'first';
    return { sourceId: column.fieldId, descending, nullsFirst };
  });
}

/** Splits at commas outside brackets and double quotes. */
function splitList(text: string): string[] {
  if (text.trim() === '') return [];
  const items: string[] = [];
  let depth = 0;
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === ',' && depth === 0) {
      items.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  items.push(text.slice(start).trim());
  if (items.includes('') || depth !== 0 || quoted) throw invalid(`invalid list "${text}"`);
  return items;
}

function columnNamed(written: string, columns: readonly ColumnDef[], table: string): ColumnDef {
  const name =
    written.startsWith('"') && written.endsWith('"') && written.length > 1
      ? written.slice(1, -1).replaceAll('""', '"')
      : written;
  const column = columns.find((one) => one.name === name) ?? columns.find((one) => one.name === name.toLowerCase());
  if (column === undefined)
    throw new SqlError(SqlState.undefinedColumn, `column "${name}" of relation "${table}" does not exist`);
  return column;
}

export function invalid(message: string, hint?: string): SqlError {
  return new SqlError(SqlState.invalidParameterValue, message, hint === undefined ? {} : { hint });
}
