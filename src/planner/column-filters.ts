/**
 * What WHERE says of single columns, for leaving files and rows out before they are read: comparisons, BETWEEN, IN, = ANY, LIKE with
 * a fixed beginning and IS NULL, AND-ed. A condition may be left out here, never made stricter: the SQL has all of them as well.
 *
 * - F1 A filter holds for every row that the condition holds for. Its values are such as the column's type has exactly (`keyText`),
 *   or finite floats; a value that is not surely meant so gives no filter.
 * - F2 Filters are strict: no row of NULLs passes one, so a table may lose the rows that do not, also under an outer join. IS NULL
 *   is not, so it counts for the only table of a FROM.
 */
import type { A_Expr, Node } from 'libpg-query';
import type { ColumnDef } from '../table-def.ts';
import { parseArray } from '../types/array-value.ts';
import { arrayTypeOf, elementType, isHashable, Oid } from '../types/pg-type.ts';
import { plainName } from './ast.ts';
import type { ColumnFilter, ParameterValue } from './plan.ts';
import {
  columnOf,
  comparisons,
  keyText,
  operand,
  valueOf,
  type Comparison,
  type Operand,
  type Value,
} from './predicates.ts';
import { typeOidOf } from './type-names.ts';

export type ColumnCondition = { readonly column: string; readonly alias: string | null } & (
  | { readonly kind: 'compare'; readonly operator: Comparison['operator']; readonly operands: readonly Operand[] }
  /** It equals an element of an array. */
  | { readonly kind: 'any'; readonly array: Operand }
  | { readonly kind: 'prefix'; readonly pattern: Operand }
  | { readonly kind: 'null'; readonly is: boolean }
);

/** Longer lists are not looked at: each file would be compared with all of it. */
const VALUES_MAX = 1000;

export function columnConditions(where: Node): readonly ColumnCondition[] {
  if ('BoolExpr' in where)
    return where.BoolExpr.boolop === 'AND_EXPR' ? (where.BoolExpr.args ?? []).flatMap(columnConditions) : [];
  const special =
    'NullTest' in where ? nullTest(where.NullTest) : 'A_Expr' in where ? listOrPattern(where.A_Expr) : null;
  if (special !== null) return [special];
  return comparisons(where).list.map(({ operand: value, ...rest }) => ({
    kind: 'compare',
    operands: [value],
    ...rest,
  }));
}

/** A condition that is equality of columns with one value or several, AND-ed; null: it says something else. */
export function onlyEqualities(where: Node): readonly ColumnCondition[] | null {
  if ('BoolExpr' in where) {
    if (where.BoolExpr.boolop !== 'AND_EXPR') return null;
    const parts = (where.BoolExpr.args ?? []).map(onlyEqualities);
    return parts.includes(null) ? null : parts.flatMap((part) => part!);
  }
  const found = columnConditions(where);
  const [only] = found;
  if (found.length !== 1) return null;
  return only!.kind === 'any' || (only!.kind === 'compare' && only!.operator === '=') ? found : null;
}

function nullTest({
  arg,
  argisrow,
  nulltesttype,
}: Extract<Node, { NullTest: unknown }>['NullTest']): ColumnCondition | null {
  const column = arg === undefined || argisrow === true ? null : columnOf(arg);
  return column === null ? null : { kind: 'null', is: nulltesttype === 'IS_NULL', ...column };
}

function listOrPattern({ kind, name, lexpr, rexpr }: A_Expr): ColumnCondition | null {
  const column = lexpr === undefined ? null : columnOf(lexpr);
  if (column === null || rexpr === undefined) return null;
  if (kind === 'AEXPR_IN' && plainName(name) === '=' && 'List' in rexpr) return oneOf(column, rexpr.List.items);
  if (kind === 'AEXPR_OP_ANY' && plainName(name) === '=') {
    if ('A_ArrayExpr' in rexpr) return oneOf(column, rexpr.A_ArrayExpr.elements);
    const array = arrayOperand(rexpr);
    return array === null ? null : { kind: 'any', array, ...column };
  }
  if (kind !== 'AEXPR_LIKE' || plainName(name) !== '~~') return null;
  const pattern = operand(rexpr);
  return pattern === null ? null : { kind: 'prefix', pattern, ...column };
}

/** `$1`, `'{1,2}'`, and either of them with a cast to an array. */
function arrayOperand(node: Node): Operand | null {
  if (!('TypeCast' in node)) return operand(node);
  const { arg, typeName } = node.TypeCast;
  if (typeName?.arrayBounds?.length !== 1 || (typeName.typmods ?? []).length > 0) return null;
  const oid = arrayTypeOf(typeOidOf({ ...typeName, arrayBounds: [] }) ?? 0);
  const inner = arg === undefined ? null : operand(arg);
  return oid === 0 || inner === null || inner.oid !== 0 ? null : { ...inner, oid };
}

function oneOf(
  column: { readonly column: string; readonly alias: string | null },
  items: readonly Node[] = [],
): ColumnCondition | null {
  const operands = items.length > VALUES_MAX ? [] : items.map(operand).filter((each) => each !== null);
  return operands.length === 0 || operands.length < items.length
    ? null
    : { kind: 'compare', operator: '=', operands, ...column };
}

/** Null: the condition leaves no file out. */
export function columnFilter(
  column: ColumnDef,
  condition: ColumnCondition,
  parameters: readonly ParameterValue[],
): ColumnFilter | null {
  const { fieldId } = column;
  switch (condition.kind) {
    case 'null':
      return { kind: 'null', fieldId, is: condition.is };
    case 'prefix': {
      const value = valueOf(condition.pattern, parameters);
      if (column.type.oid !== Oid.text && column.type.oid !== Oid.varchar) return null;
      if (
        value === undefined ||
        value.text === null ||
        (value.oid !== 0 && value.oid !== Oid.text && value.oid !== Oid.varchar)
      )
        return null;
      const text = fixedBeginning(value.text);
      return text === '' ? null : { kind: 'prefix', fieldId, text };
    }
    case 'any': {
      const values = elementsOf(valueOf(condition.array, parameters));
      return values === null ? null : compared(column, '=', values);
    }
    case 'compare':
      return compared(
        column,
        condition.operator,
        condition.operands.map((each) => valueOf(each, parameters)),
      );
  }
}

/** Null: some value is not certain, or there is none but NULL. */
function compared(
  column: ColumnDef,
  operator: Comparison['operator'],
  values: readonly (Value | undefined)[],
): ColumnFilter | null {
  if (!isHashable(column.type)) return null; // bounds are of its text
  const texts: string[] = [];
  for (const value of values) {
    const text = value === undefined ? undefined : (floatText(column, value) ?? keyText(column.type, value));
    if (text === undefined) return null;
    if (text !== null) texts.push(text);
  }
  return texts.length === 0 ? null : { kind: 'compare', fieldId: column.fieldId, operator, texts };
}

/** Of an array; null: it is none, or a long one. */
function elementsOf(array: Value | undefined): readonly Value[] | null {
  if (array === undefined || array.text === null) return null;
  const oid = array.oid === 0 ? 0 : elementType(array.oid);
  if (oid === undefined) return null;
  try {
    const { items } = parseArray(array.text);
    return items.length > VALUES_MAX ? null : items.map((text) => ({ text, oid }));
  } catch {
    return null; // the engine says what is wrong with it
  }
}

const FINITE = /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,4})?\s*$/i;

/** A number that a float column is compared with as a float; NaN and the infinities have an order of their own. */
function floatText(column: ColumnDef, value: Value): string | undefined {
  if (column.type.oid !== Oid.float4 && column.type.oid !== Oid.float8) return undefined;
  if (value.text === null || !NUMBERS.has(value.oid) || !FINITE.test(value.text)) return undefined;
  const number = Number(value.text);
  if (Math.abs(number) > 3e38 || (number !== 0 && Math.abs(number) < 1e-37)) return undefined;
  // Beside any number but a real a column of reals is double precision.
  const isReal = value.oid === 0 || value.oid === Oid.float4;
  if (column.type.oid === Oid.float4 && !isReal && Math.fround(number) !== number) return undefined;
  return value.oid === Oid.float4 ? String(Math.fround(number)) : value.text.trim();
}

const NUMBERS: ReadonlySet<number> = new Set([0, Oid.int2, Oid.int4, Oid.int8, Oid.numeric, Oid.float4, Oid.float8]);

/** What every text that a LIKE pattern matches begins with. */
function fixedBeginning(pattern: string): string {
  let text = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === '%' || character === '_') break;
    if (character === '\\' && ++at === pattern.length) break;
    text += pattern[at]!;
  }
  return text;
}
