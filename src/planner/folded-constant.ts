/**
 * Arithmetic of integer constants, and `||` of texts, as the constant that they are: a value of INSERT then needs no query of PostgreSQL.
 * What could be an error (a quotient by 0, more than an int4), or of another type, is left to that.
 */
import type { Node } from 'libpg-query';
import type { ColumnDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { constantKind, constantText, plainName } from './ast.ts';
import { NUMBERS } from '../types/type-kinds.ts';

const INT4_MAX = 2 ** 31 - 1;

/** The expression itself, where it is no such thing or its column would not take the result as it is. */
export function foldedConstant(node: Node, { type: { oid } }: ColumnDef): Node {
  if (!('A_Expr' in node)) return node;
  if (NUMBERS.has(oid)) {
    const ival = integerOf(node);
    return ival === null ? node : { A_Const: { ival: { ival } } };
  }
  const sval = oid === Oid.text || oid === Oid.varchar ? textOf(node) : null;
  return sval === null ? node : { A_Const: { sval: { sval } } };
}

/** An int4, as all that it is made of; null: it is none. */
function integerOf(node: Node): number | null {
  const value =
    'A_Expr' in node ? operated(node) : constantKind(node) === 'integer' ? Number(constantText(node)) : null;
  return value === null || Math.abs(value) > INT4_MAX ? null : value;
}

function operated(node: Extract<Node, { A_Expr: unknown }>): number | null {
  const { kind, name, lexpr, rexpr } = node.A_Expr;
  if (kind !== 'AEXPR_OP' || rexpr === undefined || (name ?? []).length !== 1) return null;
  const right = integerOf(rexpr);
  const left = lexpr === undefined ? 0 : integerOf(lexpr);
  if (left === null || right === null) return null;
  const operator = plainName(name);
  if (lexpr === undefined) return operator === '-' ? 0 - right : null;
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return right === 0 ? null : Math.trunc(left / right) + 0;
    case '%':
      return right === 0 ? null : (left % right) + 0;
    default:
      return null;
  }
}

/** Constants without a type are texts beside each other. */
function textOf(node: Node): string | null {
  if (!('A_Expr' in node)) return constantKind(node) === 'string' ? constantText(node) : null;
  const { kind, name, lexpr, rexpr } = node.A_Expr;
  if (kind !== 'AEXPR_OP' || lexpr === undefined || rexpr === undefined) return null;
  if ((name ?? []).length !== 1 || plainName(name) !== '||') return null;
  const [left, right] = [textOf(lexpr), textOf(rexpr)];
  return left === null || right === null ? null : left + right;
}
