/**
 * What PostgreSQL works out while it plans: a quotient of two constants by zero is an error there whatever rows there are, also in a
 * branch of CASE that no row takes, unless a constant condition leaves the branch out.
 *
 * - F1 Only what is certain: a branch whose condition may be a constant is left to the rows, and so is a query inside another.
 */
import type { A_Expr, Node } from 'libpg-query';
import { SqlError, SqlState } from '../../errors.ts';
import { constantKind, constantText, plainName, walk } from '../ast.ts';

/** @throws {SqlError} 22012 */
export function refuseConstantQuotient({ name, lexpr, rexpr }: A_Expr): void {
  if (lexpr === undefined || rexpr === undefined || !isNumber(lexpr) || !isNumber(rexpr)) return;
  const operator = plainName(name);
  if ((operator === '/' || operator === '%') && Number(constantText(rexpr)) === 0)
    throw new SqlError(SqlState.divisionByZero, 'division by zero');
}

function isNumber(node: Node): boolean {
  const kind = constantKind(node);
  return kind === 'integer' || kind === 'decimal';
}

/** Not a constant, whatever else it is. */
export function readsRows(nodes: readonly (Node | undefined)[]): boolean {
  let reads = false;
  walk({ nodes }, (tag) => {
    if (tag === 'ColumnRef') reads = true;
  });
  return reads;
}
