/**
 * Describing the simple statements without PGlite: plain columns, `*`, constants and count(*) of one table, with a
 * condition whose types leave nothing to resolve. Anything less certain is left to PostgreSQL, errors included.
 */
import type { Node, RangeVar, SelectStmt } from 'libpg-query';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { constantKind, constantText, plainName, stringOf } from './ast.ts';
import { columnName } from './column-names.ts';
import { checkDateTime } from './duckdb/literals.ts';
import { isDateTime, isInteger, isNumber, isText } from './duckdb/typed.ts';
import type { PlannedColumn } from './plan.ts';

export interface Described {
  readonly columns: readonly PlannedColumn[];
  readonly parameterOids: readonly number[];
}

/** One table under its name or alias, and the parameters' types as they become known. */
export interface SimpleScope {
  readonly def: TableDef | null;
  readonly alias: string;
  readonly parameterOids: number[];
}

export function simpleScope(
  def: TableDef | null,
  relation: RangeVar | undefined,
  declared: readonly number[],
): SimpleScope {
  // Other names for its columns: PostgreSQL describes them.
  const isRenamed = (relation?.alias?.colnames ?? []).length > 0;
  return {
    def: isRenamed ? null : def,
    alias: relation?.alias?.aliasname ?? relation?.relname ?? '',
    parameterOids: [...declared],
  };
}

export function describeSelect(select: SelectStmt, scope: SimpleScope, parameterCount: number): Described | null {
  const simple =
    select.withClause === undefined &&
    (select.op === undefined || select.op === 'SETOP_NONE') &&
    select.distinctClause === undefined &&
    select.groupClause === undefined &&
    select.havingClause === undefined &&
    select.windowClause === undefined &&
    select.lockingClause === undefined &&
    select.intoClause === undefined &&
    select.valuesLists === undefined &&
    select.limitOption !== 'LIMIT_OPTION_WITH_TIES';
  if (!simple) return null;
  const targets = select.targetList ?? [];
  const columns: PlannedColumn[] = [];
  for (const target of targets) {
    const described = describeTarget(target, scope, targets.length);
    if (described === null) return null;
    columns.push(...described);
  }
  if (columns.length === 0) return null;
  const counting = targets.some((target) => 'ResTarget' in target && 'FuncCall' in target.ResTarget.val!);
  if (counting && select.sortClause !== undefined) return null;
  if (select.whereClause !== undefined && !simpleCondition(select.whereClause, scope)) return null;
  if (
    !(select.sortClause ?? []).every(
      (item) =>
        'SortBy' in item && item.SortBy.sortby_dir !== 'SORTBY_USING' && simpleSort(item.SortBy.node!, scope, columns),
    )
  )
    return null;
  for (const count of [select.limitCount, select.limitOffset])
    if (count !== undefined && !simpleCount(count, scope)) return null;
  return allTyped(scope, parameterCount) ? { columns, parameterOids: scope.parameterOids } : null;
}

/** Of a SELECT from one table that was described here: whether it is `SELECT count(*)` of all its rows. */
export function countsRows(select: SelectStmt): boolean {
  const [target] = select.targetList ?? [];
  return (
    target !== undefined &&
    'ResTarget' in target &&
    'FuncCall' in target.ResTarget.val! &&
    select.whereClause === undefined &&
    select.limitCount === undefined &&
    select.limitOffset === undefined
  );
}

/** `SELECT constant, …` and nothing else: its answer depends on no setting, for the constants are numbers, texts, truth values and NULL. */
export function isConstant({ targetList = [], limitOption, op, ...rest }: SelectStmt): boolean {
  return (
    Object.keys(rest).length === 0 &&
    targetList.every((target) => 'ResTarget' in target && 'A_Const' in target.ResTarget.val!) &&
    limitOption === 'LIMIT_OPTION_DEFAULT' &&
    op === 'SETOP_NONE'
  );
}

export function allTyped(scope: SimpleScope, parameterCount: number): boolean {
  for (let i = 0; i < parameterCount; i++) if ((scope.parameterOids[i] ?? 0) === 0) return false;
  return true;
}

export function simpleColumn(node: Node, scope: SimpleScope): ColumnDef | null {
  if (!('ColumnRef' in node) || scope.def === null) return null;
  const fields = node.ColumnRef.fields ?? [];
  if (fields.length > 2 || fields.some((field) => !('String' in field))) return null;
  if (fields.length === 2 && stringOf(fields[0]) !== scope.alias) return null;
  const name = stringOf(fields.at(-1));
  return scope.def.columns.find((column) => column.name === name) ?? null;
}

function plannedColumn(def: TableDef, column: ColumnDef, name: string): PlannedColumn {
  return { name, tableOid: def.oid, attnum: column.attnum, typeOid: column.type.oid, typmod: column.type.typmod };
}

function describeTarget(target: Node, scope: SimpleScope, count: number): readonly PlannedColumn[] | null {
  if (!('ResTarget' in target)) return null;
  const value = target.ResTarget.val!;
  const name = (target.ResTarget.name ?? '') !== '' ? target.ResTarget.name! : columnName(value);
  if ('ColumnRef' in value && value.ColumnRef.fields?.some((field) => 'A_Star' in field) === true) {
    const fields = value.ColumnRef.fields;
    if (scope.def === null || fields.length > 2 || (fields.length === 2 && stringOf(fields[0]) !== scope.alias))
      return null;
    return scope.def.columns.map((column) => plannedColumn(scope.def!, column, column.name));
  }
  const column = simpleColumn(value, scope);
  if (column !== null) return [plannedColumn(scope.def!, column, name)];
  const constant = constantType(value);
  if (constant !== null) return [{ name, tableOid: 0, attnum: 0, typeOid: constant, typmod: -1 }];
  if (
    'FuncCall' in value &&
    count === 1 &&
    scope.def !== null &&
    value.FuncCall.agg_star === true &&
    plainName(value.FuncCall.funcname) === 'count' &&
    value.FuncCall.over === undefined &&
    value.FuncCall.agg_filter === undefined
  ) {
    return [{ name, tableOid: 0, attnum: 0, typeOid: Oid.int8, typmod: -1 }];
  }
  return null;
}

function constantType(node: Node): number | null {
  switch (constantKind(node)) {
    case 'integer':
      return Oid.int4;
    case 'boolean':
      return Oid.bool;
    case 'string':
    case 'null':
      return Oid.text;
    default:
      return null;
  }
}

function simpleSort(node: Node, scope: SimpleScope, columns: readonly PlannedColumn[]): boolean {
  const column = simpleColumn(node, scope);
  if (column !== null)
    return column.type.oid !== Oid.json && columns.filter((one) => one.name === column.name).length <= 1;
  if (constantKind(node) !== 'integer') return false;
  const place = Number(constantText(node));
  return place >= 1 && place <= columns.length && columns[place - 1]!.typeOid !== Oid.json;
}

function simpleCount(node: Node, scope: SimpleScope): boolean {
  const kind = constantKind(node);
  if (kind === 'integer' || kind === 'null') return true;
  return 'ParamRef' in node && typeParameter(scope, node.ParamRef.number ?? 0, Oid.int8);
}

/** Gives a parameter its type; false when it has one that would need an operator of its own. */
export function typeParameter(scope: SimpleScope, index: number, oid: number): boolean {
  const known = scope.parameterOids[index - 1] ?? 0;
  if (known === 0 || known === Oid.unknown) {
    while (scope.parameterOids.length < index) scope.parameterOids.push(0);
    scope.parameterOids[index - 1] = oid;
    return true;
  }
  return known === oid || (isInteger(known) && isInteger(oid)) || (isText(known) && isText(oid));
}

/** A condition of comparisons between columns and values whose types plainly fit; types its parameters. */
export function simpleCondition(node: Node, scope: SimpleScope): boolean {
  if ('BoolExpr' in node) return (node.BoolExpr.args ?? []).every((arg) => simpleCondition(arg, scope));
  if ('NullTest' in node) return simpleColumn(node.NullTest.arg!, scope) !== null;
  if ('ColumnRef' in node) return simpleColumn(node, scope)?.type.oid === Oid.bool;
  if (!('A_Expr' in node)) return false;
  const { kind, lexpr, rexpr } = node.A_Expr;
  if (lexpr === undefined || rexpr === undefined) return false;
  const operator = plainName(node.A_Expr.name);
  if (kind === 'AEXPR_IN' || kind === 'AEXPR_BETWEEN' || kind === 'AEXPR_NOT_BETWEEN') {
    const column = simpleColumn(lexpr, scope);
    return column !== null && 'List' in rexpr && (rexpr.List.items ?? []).every((item) => fits(item, column, scope));
  }
  if (kind !== 'AEXPR_OP' || !/^(=|<>|!=|[<>]=?)$/.test(operator)) return false;
  const left = simpleColumn(lexpr, scope);
  const right = simpleColumn(rexpr, scope);
  if (left !== null && right !== null) return left.type.oid === right.type.oid && comparable(left);
  if (left !== null) return fits(rexpr, left, scope);
  return right !== null && fits(lexpr, right, scope);
}

function comparable(column: ColumnDef): boolean {
  return column.type.oid !== Oid.json && column.type.oid !== Oid.jsonb;
}

function fits(node: Node, column: ColumnDef, scope: SimpleScope): boolean {
  if (!comparable(column)) return false;
  const { oid } = column.type;
  if ('ParamRef' in node) return typeParameter(scope, node.ParamRef.number ?? 0, oid === Oid.varchar ? Oid.text : oid);
  switch (constantKind(node)) {
    case 'integer':
    case 'decimal':
      return isNumber(oid);
    case 'boolean':
      return oid === Oid.bool;
    case 'string':
      return isText(oid) || (isDateTime(oid) && isIso(constantText(node)!, oid));
    default:
      return false;
  }
}

function isIso(text: string, oid: number): boolean {
  try {
    checkDateTime(text, oid);
    return true;
  } catch {
    return false;
  }
}
