/** The SET list of UPDATE, ON CONFLICT and MERGE: which column gets what, cast as PostgreSQL assigns. */
import type { Node, SubLink } from 'libpg-query';
import { SqlError, SqlState, notSupported, type SqlErrorFields } from '../errors.ts';
import type { ColumnDef, DefaultFunction, TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { literalError } from '../types/value-errors.ts';
import { elementOf, elementType, engineType, isWideNumeric, numericModifier, Oid } from '../types/pg-type.ts';
import { atNode, stringNode } from './ast.ts';
import { partAssignment, partsIn, writeParts } from './array-parts.ts';
import { defaultValue, undefinedColumn } from './column-default.ts';
import { checkConstant, placeOf } from './checked-constant.ts';
import { constantFor } from './constants.ts';
import { typeParameter, type SimpleScope } from './describe.ts';
import { NOW_SQL } from './duckdb/session-time.ts';
import { writeExpression } from './duckdb/expression.ts';
import { numericTexts, scalarLiteral } from './duckdb/literals.ts';
import { onlyDefault } from './generators.ts';
import type { Scope } from './duckdb/scope.ts';
import { castWide, decimalOfFloat } from './duckdb/casts.ts';
import { refuseStyledText } from './duckdb/styled-session.ts';
import {
  declaredOid,
  elementIn,
  isInteger,
  parameterMark,
  typed,
  WIDE_NUMERIC,
  WIDE_NUMERIC_ARRAY,
  type Typed,
} from './duckdb/typed.ts';
import { wideText } from './duckdb/wide-numeric.ts';
import { quoteLiteral } from '../sql-text.ts';
import { canonicalNumeric } from '../types/numeric-text.ts';

/** @param alias of the row whose columns are set */
export function assignmentsOf(targets: readonly Node[], def: TableDef, alias: string): ReadonlyMap<ColumnDef, Node> {
  const assignments = new Map<ColumnDef, Node>();
  for (const target of targets) {
    if (!('ResTarget' in target) || target.ResTarget.val === undefined) throw notSupported('this SET', atNode(target));
    const { val: value, indirection: steps = [], ...whole } = target.ResTarget;
    const [column] = targetColumns([{ ResTarget: whole }], def)!;
    const earlier = assignments.get(column!);
    const parts = earlier === undefined || steps.length === 0 ? null : partsIn(earlier);
    if (earlier !== undefined && parts === null)
      throw new SqlError(SqlState.syntaxError, `multiple assignments to same column "${column!.name}"`);
    const given = rowElement(value);
    if (column!.generated !== undefined && !('SetToDefault' in given)) throw onlyDefault(column!);
    if (steps.length > 0) {
      assignments.set(column!, partAssignment(column!, alias, target, steps, given, parts));
      continue;
    }
    if (column!.identity === 'always' && !('SetToDefault' in given)) throw onlyDefault(column!);
    assignments.set(column!, given);
  }
  return assignments;
}

/** `SET (a, b) = (1, 2)`, `SET (a, b) = (SELECT …)`: each column names its place in the row. */
function rowElement(value: Node): Node {
  if (!('MultiAssignRef' in value)) return value;
  const { source, colno = 1, ncolumns = 1 } = value.MultiAssignRef;
  if (source !== undefined && 'SubLink' in source) return columnOfQuery(source.SubLink, colno, ncolumns);
  if (source === undefined || !('RowExpr' in source)) throw notSupported('this SET of several columns', atNode(source));
  const args = source.RowExpr.args ?? [];
  const star = args.find((arg) => 'ColumnRef' in arg && arg.ColumnRef.fields?.some((field) => 'A_Star' in field));
  if (star !== undefined) throw notSupported('ROW(….*) as the values of several columns', atNode(star));
  if (args.length !== ncolumns)
    throw new SqlError(SqlState.syntaxError, 'number of columns does not match number of values', atNode(source));
  return args[colno - 1]!;
}

/** One column of a query of one row. */
function columnOfQuery(link: SubLink, colno: number, ncolumns: number): Node {
  const names = Array.from({ length: ncolumns }, (_, i) => stringNode(`c${i + 1}`));
  const subquery = {
    targetList: [{ ResTarget: { val: { ColumnRef: { fields: [names[colno - 1]!] } } } }],
    fromClause: [{ RangeSubselect: { subquery: link.subselect, alias: { aliasname: 'one', colnames: names } } }],
  };
  return { SubLink: { ...link, subselect: { SelectStmt: subquery } } } as unknown as Node;
}

export function simpleAssignment(value: Node, column: ColumnDef, scope: SimpleScope): boolean {
  if ('SetToDefault' in value) return true;
  if ('ParamRef' in value) return typeParameter(scope, value.ParamRef.number ?? 0, column.type.oid);
  return constantFor(value, column) !== undefined;
}

/** Defaults that the engine works out for each row as Arka does. */
const MADE_BY_ENGINE: Readonly<Partial<Record<DefaultFunction, string>>> = {
  gen_random_uuid: 'uuid()',
  random: 'random()',
};

/** No query can give its default: it is made when a row is written. */
export function isMadeByWriter({ default: value }: ColumnDef): boolean {
  if (value === null || value.kind === 'constant') return false;
  if (value.kind === 'now') return value.shift !== undefined;
  return value.kind !== 'function' || MADE_BY_ENGINE[value.function] === undefined;
}

/** Columns set to such a default. */
export function generatedColumns(assignments: ReadonlyMap<ColumnDef, Node>): ReadonlySet<ColumnDef> {
  return new Set(
    [...assignments].flatMap(([column, value]) => ('SetToDefault' in value && isMadeByWriter(column) ? [column] : [])),
  );
}

export function writeAssignment(value: Node, column: ColumnDef, scope: Scope): string {
  const type = engineType(column.type);
  const parts = partsIn(value);
  if (parts !== null)
    return writeParts(
      parts,
      column,
      (node) => writeExpression(node, scope),
      (node, of) => writeAssignment(node, of, scope),
    );
  if ('SetToDefault' in value) {
    const made = column.default?.kind === 'function' ? MADE_BY_ENGINE[column.default.function] : undefined;
    if (made !== undefined) return `CAST(${made} AS ${type})`;
    const given = defaultValue(column);
    if (given.kind === 'now') return `CAST(${NOW_SQL} AS ${type})`;
    return given.kind === 'null' ? `CAST(NULL AS ${type})` : constantLiteral(given.text, column);
  }
  const constant = constantFor(value, column);
  if (constant !== undefined)
    return constant.text === null ? `CAST(NULL AS ${type})` : givenLiteral(constant.text, column, value);
  const written = writeExpression(value, scope);
  if (isWideList(column)) return wideList(written, column);
  if ('ParamRef' in value)
    return isWideNumeric(column.type) ? fittedWide(wideText(written), column) : `CAST(${written.sql} AS ${type})`;
  if (written.oid !== Oid.unknown && isWideNumeric(column.type))
    return fittedWide(castWide(written, []).sql, checkedNumber(written.oid, column));
  if (written.constant === undefined || written.oid !== Oid.unknown) checkAssignable(written.oid, column);
  return assignmentCast(written.sql, written.oid, column);
}

/** A constant as it was written, with the errors that go with that. */
function givenLiteral(text: string, column: ColumnDef, node: Node): string {
  checkConstant(text, column, node);
  try {
    return constantLiteral(text, column);
  } catch (error) {
    throw literalError(error, placeOf(node));
  }
}

function constantLiteral(text: string, column: ColumnDef): string {
  if (isWideList(column)) return numericTexts(text);
  if (isWideNumeric(column.type)) return fittedWide(quoteLiteral(canonicalNumeric(text)), column);
  return `CAST(${scalarLiteral(text, column.type.oid)} AS ${engineType(column.type)})`;
}

/** The text of a numeric as the column has it. */
function fittedWide(sql: string, { type }: ColumnDef): string {
  const modifier = numericModifier(type.typmod);
  return modifier === null ? sql : `arka_numeric_fit(${sql}, ${modifier.precision}, ${modifier.scale})`;
}

/** An array whose elements are texts of numerics. */
function isWideList({ type }: ColumnDef): boolean {
  const element = elementOf(type);
  return element !== undefined && isWideNumeric(element);
}

/** A list of DECIMALs has one scale for all, where PostgreSQL has one for each. @throws {SqlError} 42804, 0A000 */
function wideList(value: Typed, column: ColumnDef): string {
  if (value.constant === null) return 'CAST(NULL AS VARCHAR[])';
  if (value.parameter !== undefined) return parameterMark(value.parameter, 'numerics');
  if (value.oid === WIDE_NUMERIC_ARRAY) return value.sql;
  checkAssignable(value.oid, column);
  if (isInteger(elementIn(value.oid) ?? 0)) return `CAST(${value.sql} AS VARCHAR[])`;
  throw notSupported('these elements in an array of numeric over Arka tables', {
    hint: 'Cast it to numeric(p,s)[] first.',
  });
}

/** @throws {SqlError} 42804 */
function checkedNumber(from: number, column: ColumnDef): ColumnDef {
  checkAssignable(from, column);
  return column;
}

export function targetColumns(nodes: readonly Node[], def: TableDef): readonly ColumnDef[] | null {
  if (nodes.length === 0) return null;
  const columns: ColumnDef[] = [];
  for (const node of nodes) {
    const name = 'ResTarget' in node ? (node.ResTarget.name ?? '') : 'String' in node ? (node.String.sval ?? '') : '';
    if ('ResTarget' in node && (node.ResTarget.indirection ?? []).length > 0)
      throw notSupported('assignment to a part of a column', atNode(node));
    const column = def.columns.find((one) => one.name === name);
    if (column === undefined) throw undefinedColumn(name, def.name, atNode(node));
    if (columns.includes(column))
      throw new SqlError(SqlState.duplicateColumn, `column "${name}" specified more than once`, atNode(node));
    columns.push(column);
  }
  return columns;
}

const FAMILIES: readonly (readonly number[])[] = [
  [Oid.int2, Oid.int4, Oid.int8, Oid.float4, Oid.float8, Oid.numeric],
  [Oid.date, Oid.timestamp, Oid.timestamptz],
  [Oid.text, Oid.varchar, Oid.bpchar, Oid.name, Oid.char],
  [Oid.int2, Oid.int4, Oid.int8, Oid.oid],
  [Oid.json, Oid.jsonb],
  [Oid.bool],
  [Oid.bytea],
  [Oid.uuid],
  [Oid.time, Oid.interval, Oid.timestamp, Oid.timestamptz],
];

const INTEGERS: ReadonlySet<number> = new Set([Oid.int2, Oid.int4, Oid.int8, Oid.oid]);

/** @throws {SqlError} 42804 where PostgreSQL has no assignment cast between two known types */
export function checkAssignable(given: number, column: ColumnDef, place: SqlErrorFields = {}): void {
  const from = declaredOid(given);
  const to = column.type.oid;
  if (from === 0 || from === Oid.unknown || from === to || to === Oid.text || to === Oid.varchar || to === Oid.bpchar)
    return;
  const [element, wanted] = [elementType(from), elementOf(column.type)];
  if (element !== undefined && wanted !== undefined)
    return checkAssignable(element, { ...column, type: wanted }, place);
  if (FAMILIES.some((family) => family.includes(from) && family.includes(to))) return;
  const columnType = formatType({ oid: to, typmod: -1 });
  // A text literal that lost its type on the way through a subquery is text in PostgreSQL, too.
  throw new SqlError(
    SqlState.datatypeMismatch,
    `column "${column.name}" is of type ${columnType} but expression is of type ${formatType({ oid: from, typmod: -1 })}`,
    { hint: 'You will need to rewrite or cast the expression.', ...place },
  );
}

/** An assignment rounds as PostgreSQL's does: floats to even, numerics away from zero. */
export function assignmentCast(sql: string, from: number, column: ColumnDef): string {
  const type = engineType(column.type);
  if (type === 'VARCHAR' && from !== column.type.oid) refuseStyledText(from);
  if (isWideNumeric(column.type)) return fittedWide(castWide(typed(sql, from), []).sql, column);
  if (isWideList(column)) return wideList(typed(sql, from), column);
  if (from === WIDE_NUMERIC_ARRAY && elementOf(column.type)?.oid !== Oid.text)
    throw notSupported('an array of numeric without precision as one of another type over Arka tables');
  if (from === WIDE_NUMERIC) {
    const modifier = numericModifier(column.type.typmod);
    if (column.type.oid === Oid.numeric)
      return `CAST(arka_numeric_decimal(${sql}, ${modifier!.precision}, ${modifier!.scale}) AS ${type})`;
    if (INTEGERS.has(column.type.oid)) return `CAST(arka_numeric_round(${sql}, 0) AS ${type})`;
    return `CAST(${sql} AS ${type})`;
  }
  const whole = column.type.oid === Oid.int2 || column.type.oid === Oid.int4 || column.type.oid === Oid.int8;
  if (whole && (from === Oid.float4 || from === Oid.float8)) return `CAST(round_even(${sql}, 0) AS ${type})`;
  if (column.type.oid === Oid.numeric && (from === Oid.float4 || from === Oid.float8)) {
    const { precision, scale } = numericModifier(column.type.typmod)!;
    return decimalOfFloat(typed(sql, from), precision, scale);
  }
  if (whole && from === Oid.numeric) return `CAST(round(${sql}, 0) AS ${type})`;
  return `CAST(${sql} AS ${type})`;
}
