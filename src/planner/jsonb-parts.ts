/**
 * Assignment to parts of jsonb: `SET document['a'][0] = value`. Of NULL the first subscript says whether it becomes an array or an object;
 * a value that is NULL is the document null.
 */
import type { A_Indices, Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import { formatType } from '../types/format-type.ts';
import { Oid } from '../types/pg-type.ts';
import { atNode } from './ast.ts';
import { isText, type Typed } from './duckdb/typed.ts';

const NO_SUBSCRIPT = `error('${SqlState.nullValueNotAllowed}: jsonb subscript in assignment must not be null')`;

/**
 * @param document, given texts of jsonb
 * @throws {SqlError} 42804
 */
export function documentAssigned(
  document: string,
  steps: readonly A_Indices[],
  given: string,
  write: (node: Node) => Typed,
): string {
  const keys = steps.map((step) => keyOf(step, write));
  const empty = keys[0]!.isNumber ? '[]' : '{}';
  const path = `CAST(to_json([${keys.map(({ sql }) => `CAST(${sql} AS VARCHAR)`).join(', ')}]) AS VARCHAR)`;
  const sql = `arka_jsonb_assign(coalesce(${document}, '${empty}'), ${path}, coalesce(${given}, 'null'))`;
  const unsure = keys.filter(({ isSure }) => !isSure).map((key) => `${key.sql} IS NULL`);
  return unsure.length === 0 ? sql : `CASE WHEN ${unsure.join(' OR ')} THEN ${NO_SUBSCRIPT} ELSE ${sql} END`;
}

function keyOf(step: A_Indices, write: (node: Node) => Typed): { sql: string; isNumber: boolean; isSure: boolean } {
  const node = step.uidx ?? step.lidx;
  if (step.is_slice === true || node === undefined)
    throw new SqlError(SqlState.datatypeMismatch, 'jsonb subscript does not support slices', atNode(node));
  const { constant, oid, sql } = write(node);
  const isNumber = oid === Oid.int4 || oid === Oid.int2;
  if (!isNumber && !isText(oid) && constant === undefined)
    throw new SqlError(
      SqlState.datatypeMismatch,
      `subscript type ${formatType({ oid, typmod: -1 })} is not supported`,
      { hint: 'jsonb subscript must be coercible to either integer or text.', ...atNode(node) },
    );
  return { sql, isNumber, isSure: typeof constant === 'string' };
}
