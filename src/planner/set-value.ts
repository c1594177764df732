/**
 * Values of a SET list that main computes without a query: constants, parameters, columns, and sums of numbers of one type. What
 * is not surely PostgreSQL's result that way is null here, and a query's.
 */
import type { ColumnRef, Node } from 'libpg-query';
import type { ColumnDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { constantKind, constantText, plainName } from './ast.ts';
import { checkConstant, placeOf } from './checked-constant.ts';
import { constantFor, isNow } from './constants.ts';
import { typeParameter, type SimpleScope } from './describe.ts';
import type { RowName, SetValue } from './plan.ts';

/** What a column reference means; null: not certain. */
export type FindColumn = (reference: ColumnRef) => { readonly row: RowName; readonly column: ColumnDef } | null;

const SUMMED: ReadonlySet<number> = new Set([Oid.int4, Oid.int8, Oid.float8]);

export function setValue(node: Node, column: ColumnDef, scope: SimpleScope, find: FindColumn): SetValue | null {
  if ('SetToDefault' in node) return { kind: 'default' };
  if ('ParamRef' in node) return parameter(node.ParamRef.number ?? 0, column.type.oid, scope);
  if ('ColumnRef' in node) {
    const value = columnValue(node.ColumnRef, column, scope, find);
    // varchar(n) into a shorter one, numeric of another scale: assignments that convert.
    return value !== null && sameType(find(node.ColumnRef)!.column, column) ? value : null;
  }
  if ('A_Expr' in node) return sum(node, column, scope, find);
  const constant = constantFor(node, column);
  if (constant === undefined) return isNow(node, column) ? { kind: 'now' } : null;
  if (constant.text === null) return { kind: 'null' };
  checkConstant(constant.text, column, node);
  return { kind: 'text', text: constant.text, position: placeOf(node) };
}

function sameType(from: ColumnDef, to: ColumnDef): boolean {
  return from.type.oid === to.type.oid && (from.type.typmod === to.type.typmod || to.type.typmod < 0);
}

function parameter(index: number, oid: number, scope: SimpleScope): SetValue | null {
  const known = scope.parameterOids[index - 1] ?? 0;
  if (known !== 0 && known !== oid) return null;
  return typeParameter(scope, index, oid) ? { kind: 'parameter', index } : null;
}

function columnValue(
  reference: ColumnRef,
  { type }: ColumnDef,
  { def }: SimpleScope,
  find: FindColumn,
): SetValue | null {
  const found = find(reference);
  if (found === null || found.column.type.oid !== type.oid) return null;
  return { kind: 'column', row: found.row, index: def!.columns.indexOf(found.column) };
}

function sum(node: Node, column: ColumnDef, scope: SimpleScope, find: FindColumn): SetValue | null {
  if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP' || !SUMMED.has(column.type.oid)) return null;
  const operator = plainName(node.A_Expr.name);
  const { lexpr, rexpr } = node.A_Expr;
  if ((operator !== '+' && operator !== '-') || lexpr === undefined || rexpr === undefined) return null;
  // One side is a column: it decides the type of the other.
  if (!('ColumnRef' in lexpr) && !('ColumnRef' in rexpr)) return null;
  const left = summand(lexpr, column, scope, find);
  const right = left === null ? null : summand(rexpr, column, scope, find);
  return left === null || right === null ? null : { kind: 'sum', negative: operator === '-', left, right };
}

function summand(node: Node, column: ColumnDef, scope: SimpleScope, find: FindColumn): SetValue | null {
  if ('ColumnRef' in node) return columnValue(node.ColumnRef, column, scope, find);
  if ('ParamRef' in node) return parameter(node.ParamRef.number ?? 0, column.type.oid, scope);
  const kind = constantKind(node);
  if (kind !== 'integer' && !(kind === 'decimal' && column.type.oid === Oid.float8)) return null;
  return { kind: 'text', text: constantText(node)!, position: 0 };
}
