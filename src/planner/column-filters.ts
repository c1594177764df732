/**
 * What WHERE says of single columns, for leaving files out before they are opened: comparisons, BETWEEN, IN, LIKE with a fixed
 * beginning and IS NULL, AND-ed. A condition may be left out here, never made stricter: the SQL has all of them as well.
 *
 * - F1 A filter holds for every row that the condition holds for. Its values are such as the column's type has exactly (`keyText`),
 *   or finite floats; a value that is not surely meant so gives no filter.
 * - F2 Filters are strict: no row of NULLs passes one, so a table may lose the rows that do not, also under an outer join. IS NULL
 *   is not, so it counts for the only table of a FROM.
 */
import type { A_Expr, Node } from 'libpg-query';
import type { ColumnDef } from '../table-def.ts';
import { isHashable, Oid } from '../types/pg-type.ts';
import { plainName } from './ast.ts';
import type { ColumnFilter, ParameterValue } from './plan.ts';
import { columnOf, comparisons, keyText, operand, valueOf, type Comparison, type Operand } from './predicates.ts';

export type ColumnCondition = { readonly column: string; readonly alias: string | null } & (
  | { readonly kind: 'compare'; readonly operator: Comparison['operator']; readonly operands: readonly Operand[] }
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
  if (kind === 'AEXPR_IN' && plainName(name) === '=' && 'List' in rexpr) {
    const items = rexpr.List.items ?? [];
    const operands = items.length > VALUES_MAX ? [] : items.map(operand).filter((each) => each !== null);
    return operands.length === 0 || operands.length < items.length
      ? null
      : { kind: 'compare', operator: '=', operands, ...column };
  }
  if (kind !== 'AEXPR_LIKE' || plainName(name) !== '~~') return null;
  const pattern = operand(rexpr);
  return pattern === null ? null : { kind: 'prefix', pattern, ...column };
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
    case 'compare': {
      if (!isHashable(column.type)) return null; // bounds are of its text
      const texts: string[] = [];
      for (const each of condition.operands) {
        const value = valueOf(each, parameters);
        const text = value === undefined ? undefined : (floatText(column, value) ?? keyText(column.type, value));
        if (text === undefined) return null;
        if (text !== null) texts.push(text);
      }
      return texts.length === 0 ? null : { kind: 'compare', fieldId, operator: condition.operator, texts };
    }
  }
}

const FINITE = /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,4})?\s*$/i;

/** A number that a float column is compared with as a float; NaN and the infinities have an order of their own. */
function floatText(
  column: ColumnDef,
  value: { readonly text: string | null; readonly oid: number },
): string | undefined {
  if (column.type.oid !== Oid.float4 && column.type.oid !== Oid.float8) return undefined;
  if (value.text === null || !NUMBERS.has(value.oid) || !FINITE.test(value.text)) return undefined;
  const number = Number(value.text);
  return Math.abs(number) <= 3e38 && (number === 0 || Math.abs(number) >= 1e-37) ? value.text.trim() : undefined;
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
