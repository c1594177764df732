/**
 * Constants that are assigned to a column, in INSERT … VALUES, UPDATE … SET DEFAULT and column defaults: which ones a
 * column takes, and the text its input function gets. Follows PostgreSQL's assignment casts.
 */
import type { Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { atNode, constantKind, constantText, plainName } from './ast.ts';
import { formatType } from '../types/format-type.ts';
import { typeOidOf } from './type-names.ts';
import { INTEGERS, TEXTS } from '../types/type-kinds.ts';

export type ConstantValue = { readonly text: string } | { readonly text: null };

const NUMBERS: ReadonlySet<number> = new Set([...INTEGERS, Oid.oid, Oid.float4, Oid.float8, Oid.numeric]);
const DATE_TIMES: ReadonlySet<number> = new Set([Oid.date, Oid.timestamp, Oid.timestamptz]);

/**
 * The text of a constant for a column's input function; undefined when the expression is no such constant and must
 * be evaluated. NULL gives text null.
 * @throws {SqlError} 42804 when PostgreSQL would not assign this constant's type to the column
 */
export function constantFor(node: Node, column: ColumnDef): ConstantValue | undefined {
  const kind = constantKind(node);
  if (kind !== undefined) {
    const text = constantText(node);
    if (text === null) return { text: null };
    switch (kind) {
      case 'string':
        return { text };
      case 'integer':
      case 'decimal':
        return numberFor(text, column, node);
      case 'boolean':
        if (column.type.oid !== Oid.bool && !TEXTS.has(column.type.oid)) throw mismatch(column, 'boolean', node);
        return { text };
      default:
        return undefined;
    }
  }
  const negated = negatedNumber(node);
  if (negated !== null) return numberFor(negated, column, node);
  return castConstant(node, column);
}

/** `- 5`, where the grammar left the sign outside (`- (5)`, `-  5.0`); null otherwise. */
function negatedNumber(node: Node): string | null {
  if (
    !('A_Expr' in node) ||
    node.A_Expr.kind !== 'AEXPR_OP' ||
    node.A_Expr.lexpr !== undefined ||
    plainName(node.A_Expr.name) !== '-'
  )
    return null;
  const inner = node.A_Expr.rexpr;
  if (inner === undefined) return null;
  const kind = constantKind(inner);
  if (kind !== 'integer' && kind !== 'decimal') return null;
  const text = constantText(inner)!;
  return text.startsWith('-') ? text.slice(1) : `-${text}`;
}

/** `'…'::type` where the type is the column's own: the same input function reads it. Others are evaluated. */
function castConstant(node: Node, column: ColumnDef): ConstantValue | undefined {
  if (!('TypeCast' in node) || node.TypeCast.arg === undefined) return undefined;
  const { arg, typeName } = node.TypeCast;
  const oid = typeOidOf(typeName);
  if (oid === undefined || (typeName?.typmods ?? []).length > 0) return undefined;
  const kind = constantKind(arg);
  if (kind === 'null') return { text: null };
  // char(n) loses its blanks on the way to another type.
  if (oid === column.type.oid || (oid !== Oid.bpchar && TEXTS.has(oid) && TEXTS.has(column.type.oid))) {
    if (kind === 'string') return { text: constantText(arg)! };
    if ((kind === 'integer' || kind === 'decimal') && NUMBERS.has(oid))
      return numberFor(constantText(arg)!, column, node);
    if (kind === 'boolean' && oid === Oid.bool) return { text: constantText(arg)! };
  }
  return undefined;
}

function numberFor(text: string, column: ColumnDef, node: Node): ConstantValue {
  const { oid } = column.type;
  const plain = expandDecimal(text);
  if (!NUMBERS.has(oid) && !TEXTS.has(oid))
    throw mismatch(column, isInteger(plain) ? integerTypeName(plain) : 'numeric', node);
  if (oid === Oid.oid && !isInteger(plain)) throw mismatch(column, 'numeric', node);
  return { text: INTEGERS.has(oid) ? roundToInteger(plain) : plain };
}

function integerTypeName(text: string): string {
  const value = Number(text);
  if (value >= -2147483648 && value <= 2147483647) return 'integer';
  return Math.abs(value) < 9.2e18 ? 'bigint' : 'numeric';
}

function isInteger(text: string): boolean {
  return /^-?\d+$/.test(text);
}

/** Digits without an exponent, as numeric prints them: 1e3 → 1000, 1.5e-2 → 0.015, 0x1F → 31, 1_000 → 1000. */
export function expandDecimal(written: string): string {
  const text = written.replaceAll('_', '');
  if (/^-?0[xob]/i.test(text)) {
    const digits = BigInt(text.replace('-', '')).toString();
    return text.startsWith('-') && digits !== '0' ? `-${digits}` : digits;
  }
  const match = /^(-?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = ''] = match;
  const exponent = Number(match[4] ?? 0);
  if (Math.abs(exponent) > 1000) throw new SqlError(SqlState.numericValueOutOfRange, 'value overflows numeric format');
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');
  const cut = Math.max(point, 1);
  const left = padded.slice(0, cut).replace(/^0+(?=\d)/, '');
  const right = padded.slice(cut);
  const unsigned = left + (right === '' ? '' : `.${right}`);
  return /[1-9]/.test(digits) ? sign + unsigned : unsigned; // numeric has one zero
}

/** numeric → integer: half away from zero. */
function roundToInteger(text: string): string {
  const dot = text.indexOf('.');
  if (dot < 0) return text;
  const negative = text.startsWith('-');
  const whole = BigInt(text.slice(negative ? 1 : 0, dot));
  const rounded = text.charCodeAt(dot + 1) >= 53 ? whole + 1n : whole;
  return rounded === 0n ? '0' : `${negative ? '-' : ''}${rounded}`;
}

export function mismatch(column: ColumnDef, given: string, node: Node): SqlError {
  const type = formatType({ oid: column.type.oid, typmod: -1 });
  return new SqlError(
    SqlState.datatypeMismatch,
    `column "${column.name}" is of type ${type} but expression is of type ${given}`,
    {
      hint: 'You will need to rewrite or cast the expression.',
      ...atNode(node),
    },
  );
}

/** now(), CURRENT_TIMESTAMP and their relatives: the statement's or transaction's start, which are one here. */
export function isNow(node: Node, column: ColumnDef): boolean {
  if (!DATE_TIMES.has(column.type.oid)) return false;
  if ('SQLValueFunction' in node) {
    switch (node.SQLValueFunction.op) {
      case 'SVFOP_CURRENT_TIMESTAMP':
      case 'SVFOP_LOCALTIMESTAMP':
        return true;
      case 'SVFOP_CURRENT_DATE':
        return column.type.oid === Oid.date;
      default:
        return false;
    }
  }
  if (!('FuncCall' in node) || (node.FuncCall.args ?? []).length > 0) return false;
  return ['now', 'transaction_timestamp', 'statement_timestamp'].includes(plainName(node.FuncCall.funcname));
}

/** A number written as one, perhaps with a sign. */
export function isNumberLiteral(node: Node): boolean {
  const kind = constantKind('A_Expr' in node ? (node.A_Expr.rexpr ?? node) : node);
  return kind === 'integer' || kind === 'decimal';
}
