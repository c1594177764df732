/**
 * Rows beside rows, column by column: the engine takes NULLs inside rows for equal.
 *
 * A row and the rows of a query are compared inside a query over that one, where the columns of both stand: `EXISTS` finds an equal row by
 * a hash join, and whether one may be equal (it has a NULL where the other has any) is asked among rows with a NULL alone.
 */
import type { A_Expr, Node, SubLink } from 'libpg-query';
import { SqlError, SqlState, notSupported, type SqlErrorFields } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { at, atNode, plainName, walk } from '../ast.ts';
import { stabilityOf } from '../unstable-queries.ts';
import { writeExpression } from './expression.ts';
import { functionRule } from './functions.ts';
import { writeComparison } from './operators.ts';
import { writeSubquery } from './query.ts';
import { columnOf, type Scope } from './scope.ts';
import { typed, type Typed } from './typed.ts';

type Row = readonly Typed[];

/** (a, b) = (c, d) and its kin, and beside a query of one row. */
export function writeRowComparison(expression: A_Expr, operator: string, scope: Scope): Typed {
  const where = at(expression.location);
  const left = rowItems(expression.lexpr!, scope);
  const { rexpr } = expression;
  if (expression.kind === 'AEXPR_IN') {
    const rows = ('List' in rexpr! ? (rexpr.List.items ?? []) : [rexpr!]).map((item) => rowItems(item, scope));
    if (rows.some((row) => row.length !== left.length)) throw unequalNumbers(where);
    const any = rows.map((row) => compareRows('=', left, row, where)).join(' OR ');
    return typed(operator === '<>' ? `(NOT (${any}))` : `(${any})`, Oid.bool);
  }
  if (expression.kind !== 'AEXPR_OP' || rexpr === undefined)
    throw notSupported('this comparison of rows over Arka tables', where);
  if ('SubLink' in rexpr && rexpr.SubLink.subLinkType === 'EXPR_SUBLINK') {
    const { row, from } = besideQuery(expression.lexpr!, left, rexpr.SubLink, scope, where);
    return typed(`(SELECT ${compareRows(operator, left, row, where)} FROM ${from})`, Oid.bool);
  }
  const right = rowItems(rexpr, scope);
  if (right.length !== left.length) throw unequalNumbers(where);
  return typed(compareRows(operator, left, right, where), Oid.bool);
}

/** `(a, b) IN (SELECT …)`, `= ANY`, `<> ALL`: NULL unless a row is equal, or each differs in a value that is there. */
export function writeRowInQuery(link: SubLink, scope: Scope): Typed {
  const where = at(link.location);
  const operator = plainName(link.operName);
  const isAny = link.subLinkType === 'ANY_SUBLINK' && (operator === '' || operator === '=');
  if (!isAny && !(link.subLinkType === 'ALL_SUBLINK' && /^(<>|!=)$/.test(operator)))
    throw notSupported(`operator ${operator} of a row with a subquery over Arka tables`, where);
  const left = rowItems(link.testexpr!, scope);
  const { row, from } = besideQuery(link.testexpr!, left, link, scope, where);
  const equal = compareRows('=', left, row, where);
  const found = `EXISTS (SELECT 1 FROM ${from} WHERE ${equal})`;
  if (isAny && scope.isFilter === true) return typed(found, Oid.bool);
  if (stabilityOf(link.subselect!) !== 'stable' || stabilityOf(link.testexpr!) !== 'stable')
    throw notSupported('a row compared with a query that may give other rows each time over Arka tables', where);
  const isOpen = (values: Row): string => `(${values.map(({ sql }) => `${sql} IS NULL`).join(' OR ')})`;
  const mayBe = [row, left].map(
    (values) => `EXISTS (SELECT 1 FROM ${from} WHERE ${isOpen(values)} AND ${equal} IS NULL)`,
  );
  const sql = `CASE WHEN ${found} THEN ${isAny} WHEN ${mayBe.join(' OR ')} THEN NULL ELSE ${!isAny} END`;
  return typed(`(${sql})`, Oid.bool);
}

/** The columns of a query, and the query under their names: what stands in the test row is then written in a query of its own. */
function besideQuery(test: Node, left: Row, link: SubLink, scope: Scope, where: SqlErrorFields) {
  walk(test, (tag, body) => {
    const rule = tag === 'FuncCall' ? functionRule(plainName((body as { funcname?: Node[] }).funcname)) : undefined;
    if (rule?.kind !== undefined || tag === 'GroupingFunc')
      throw notSupported('an aggregate in a row beside a subquery over Arka tables', where);
  });
  const { sql, outputs } = writeSubquery(link.subselect!, { ...scope, isFilter: false });
  if (outputs === null) throw notSupported('a row compared with this subquery over Arka tables', where);
  if (outputs.length !== left.length) {
    const few = outputs.length < left.length ? 'few' : 'many';
    throw new SqlError(SqlState.syntaxError, `subquery has too ${few} columns`, where);
  }
  const names = outputs.map((_, i) => `arka_c${i}`);
  const row = outputs.map((output, i) => columnOf(`arka_row.${names[i]}`, output));
  return { row, from: `(${sql}) AS arka_row(${names.join(', ')})` };
}

function compareRows(operator: string, left: Row, right: Row, where: SqlErrorFields): string {
  const compare = (name: string, a: Typed, b: Typed): string => writeComparison(name, a, b, where).sql;
  if (operator === '=') return `(${left.map((item, i) => compare('=', item, right[i]!)).join(' AND ')})`;
  if (operator === '<>' || operator === '!=')
    return `(${left.map((item, i) => compare('<>', item, right[i]!)).join(' OR ')})`;
  if (!/^[<>]=?$/.test(operator)) throw notSupported(`operator ${operator} of rows over Arka tables`, where);
  const strict = operator[0]!;
  let sql = compare(operator, left.at(-1)!, right.at(-1)!);
  for (let i = left.length - 2; i >= 0; i--)
    sql = `(${compare(strict, left[i]!, right[i]!)} OR (${compare('=', left[i]!, right[i]!)} AND ${sql}))`;
  return sql;
}

function rowItems(node: Node, scope: Scope): Row {
  if (!('RowExpr' in node)) throw notSupported('this comparison of rows over Arka tables', atNode(node));
  return (node.RowExpr.args ?? []).map((arg) => writeExpression(arg, { ...scope, isFilter: false }));
}

function unequalNumbers(where: SqlErrorFields): SqlError {
  return new SqlError(SqlState.syntaxError, 'unequal number of entries in row expressions', where);
}
