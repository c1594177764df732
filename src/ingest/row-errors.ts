/**
 * What a client hears of a row that a constraint refuses: PostgreSQL's message, the whole row in DETAIL, and the names of
 * schema, table and column or constraint. Made when the error is thrown, never before.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { isValid, type ColumnVector } from '../types/column-vector.ts';
import { textOutput } from '../types/text-output.ts';
import { UTC, type TimeZone } from '../types/time-zone.ts';
import { decodeText } from '../types/utf8.ts';

/** DETAIL shows at most so much of a value. */
const SHOWN_BYTES_MAX = 64;

/** A row to be told of: vectors in def order, and the zone of the session. */
export interface RefusedRow {
  readonly vectors: readonly ColumnVector[];
  readonly row: number;
  readonly timeZone: TimeZone;
}

/** 23502 for the first column, in the table's order, that may not be NULL and is; null when there is none. */
export function notNullViolation(def: TableDef, refused: RefusedRow): SqlError | null {
  const index = def.columns.findIndex((column, i) => column.notNull && !isValid(refused.vectors[i]!, refused.row));
  if (index < 0) return null;
  const { name } = def.columns[index]!;
  return new SqlError(
    SqlState.notNullViolation,
    `null value in column "${name}" of relation "${def.name}" violates not-null constraint`,
    { detail: failingRow(def, refused), schema: def.schema, table: def.name, column: name },
  );
}

/** 23505 with the values in DETAIL. @param vectors of the constraint's columns, as they are */
export function uniqueViolation(
  { schema, name: table }: TableDef,
  constraint: string,
  columns: readonly ColumnDef[],
  vectors: readonly ColumnVector[],
  row: number,
): SqlError {
  const out = new ByteWriter(64);
  const texts = columns.map(({ type }, i) => {
    textOutput(type, { timeZone: UTC })(vectors[i]!, row, out);
    return Buffer.from(out.take()).toString();
  });
  return new SqlError(SqlState.uniqueViolation, `duplicate key value violates unique constraint "${constraint}"`, {
    detail: `Key (${columns.map(({ name }) => name).join(', ')})=(${texts.join(', ')}) already exists.`,
    schema,
    table,
    constraint,
  });
}

/** As ExecBuildSlotValueDescription writes a row: values in their text form, long ones cut. */
export function failingRow({ columns }: TableDef, { vectors, row, timeZone }: RefusedRow): string {
  const out = new ByteWriter(256);
  const values = columns.map((column: ColumnDef, i) => {
    if (!isValid(vectors[i]!, row)) return 'null';
    out.length = 0;
    textOutput(column.type, { timeZone })(vectors[i]!, row, out);
    let stop = Math.min(out.length, SHOWN_BYTES_MAX);
    if (stop < out.length) while ((out.bytes[stop]! & 0xc0) === 0x80) stop--;
    return decodeText(out.bytes, 0, stop) + (stop < out.length ? '...' : '');
  });
  return `Failing row contains (${values.join(', ')}).`;
}
