/**
 * Constants that SET or a SELECT list gives a column: PostgreSQL reads them while it plans, so one that is no value of the column is an
 * error though no row is found.
 */
import type { Node } from 'libpg-query';
import { SqlError } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import { putText } from '../types/parse-text-value.ts';
import { elementOf, Oid, physicalOf } from '../types/pg-type.ts';
import { textInput, type TextInput } from '../types/text-input.ts';
import { literalError } from '../types/value-errors.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { locationOf } from './ast.ts';
import { isNumberLiteral } from './constants.ts';

/** What they mean is the session's to say; rows are written with it. */
const OF_SESSION: ReadonlySet<number> = new Set([
  Oid.date,
  Oid.time,
  Oid.timetz,
  Oid.timestamp,
  Oid.timestamptz,
  Oid.interval,
]);

interface Reader {
  readonly input: TextInput;
  readonly sink: VectorBuilder;
}
const readers = new WeakMap<ColumnDef, Reader | null>();

function readerOf(column: ColumnDef): Reader | null {
  const { type } = column;
  let reader = readers.get(column);
  if (reader !== undefined) return reader;
  const isOther =
    OF_SESSION.has((elementOf(type) ?? type).oid) || (type.oid === Oid.text && elementOf(type) === undefined);
  reader = isOther ? null : { input: textInput(type), sink: new VectorBuilder(physicalOf(type)) };
  readers.set(column, reader);
  return reader;
}

/** @param text what `node` gives the column @throws {SqlError} what is wrong with it */
export function checkConstant(text: string, column: ColumnDef, node: Node): void {
  const reader = readerOf(column);
  if (reader === null) return;
  try {
    putText(reader.input, text, reader.sink);
  } catch (error) {
    // what Arka lacks for a value it says where rows are written
    if (error instanceof SqlError && error.code.startsWith('2')) throw literalError(error, placeOf(node));
  } finally {
    reader.sink.reset();
  }
}

/** Of a quoted one, from 1; 0 for a number written as one. */
export const placeOf = (node: Node): number => (isNumberLiteral(node) ? 0 : (locationOf(node) ?? -1) + 1);
