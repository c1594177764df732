/**
 * A row in memory by its key, from the bytes of a Bind to those of its DataRow: what is the same for each read of a statement is kept
 * with its condition.
 */
import type { KeyCondition } from '../planner/plan.ts';
import type { Table } from '../storage/table.ts';
import type { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { sameFormats, type Format } from '../types/result-column.ts';
import type { BoundParameters } from '../wire/gateway-api.ts';
import { type BoundKey, boundKeyOf } from './bound-key.ts';
import { foundPlace, look, rowOf, tableOf, type PointEnvironment } from './point.ts';

/** How rows of a statement are read, and what that was made for. */
interface Reader extends ReturnType<typeof rowOf> {
  /** Of the table's definition and the parameters' types. */
  readonly key: BoundKey;
  readonly formats: readonly Format[];
  readonly timeZone: string;
  /** Filled anew for each row. */
  readonly vectors: ColumnVector[];
}

const readers = new WeakMap<KeyCondition, Reader>();

/** Rows that it has written; -1: something must be waited for. Undefined: such values are not read here. */
export function writeHotPoint(
  environment: PointEnvironment,
  condition: KeyCondition,
  parameters: BoundParameters,
  oids: readonly number[],
  formats: readonly Format[],
  out: ByteWriter,
): 0 | 1 | -1 | undefined {
  if (condition.places === null) return undefined;
  const table = tableOf(environment, condition);
  if (table === null) return -1;
  const reader = readerOf(environment, table, condition, oids, formats);
  if (reader === null) return undefined;
  const { encode, indexes, key, vectors } = reader;
  if (!key.read(parameters)) return 0;
  const found = look(environment, table, key.vectors);
  if (found !== 'here') return found === 'none' ? 0 : -1;
  const place = foundPlace(table);
  if (place === null) return -1;
  const { columns } = place.batch;
  for (let i = 0; i < indexes.length; i++) vectors[i] = columns[indexes[i]!]!.vector();
  encode(vectors, place.row, out);
  return 1;
}

function readerOf(
  { timeZone }: PointEnvironment,
  table: Table,
  condition: KeyCondition,
  oids: readonly number[],
  formats: readonly Format[],
): Reader | null {
  const { def } = table;
  const key = boundKeyOf(condition, def, oids);
  if (key === null) return null;
  const kept = readers.get(condition);
  if (kept?.key === key && kept.timeZone === timeZone && sameFormats(kept.formats, formats)) return kept;
  const vectors: ColumnVector[] = [];
  const made = { key, formats, timeZone, vectors, ...rowOf(table, condition.fieldIds, formats, timeZone) };
  readers.set(condition, made);
  return made;
}
