/**
 * INSERT: VALUES of constants and parameters go straight to the column builders; everything else is a query whose
 * columns are cast to the target's types.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { InsertStmt, Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { elementOf, Oid } from '../types/pg-type.ts';
import { at, atNode, castTo, locationOf, stringNode } from './ast.ts';
import { assignmentCast, checkAssignable, targetColumns } from './assignments.ts';
import { defaultValue } from './column-default.ts';
import { checkConstant, placeOf } from './checked-constant.ts';
import { constantFor } from './constants.ts';
import { writeQuery } from './duckdb/query.ts';
import { foldedConstant } from './folded-constant.ts';
import { generatorFor } from './generators.ts';
import { planHiddenCalls } from './hidden-calls.ts';
import { withWholeColumns } from './insert-parts.ts';
import type { CopiedQuery } from './copied-query.ts';
import { checkOverride, checkWidth, overridden, splitGenerated, splitSelected } from './insert-values.ts';
import { planConflict } from './on-conflict.ts';
import type { CatalogView, InsertValue, QueryPlan, Statement } from './plan.ts';
import { planQuery, Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { planReturning } from './returning.ts';
import { selectWidth } from './source-width.ts';
import { targetTable } from './schema-names.ts';
import { joinedWith, withVisibleQueries } from './visible-queries.ts';
import { formatType } from '../types/format-type.ts';

/** @throws {SqlError} 42P01, 42701, 42703, 42601, 42804, 0A000 */
export function planInsert(
  given: InsertStmt,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  const def = targetTable(given.relation ?? {}, view, 'insert into');
  const statement = withVisibleQueries(withWholeColumns(given, def, castNode));
  const returning = planReturning(statement, statement.relation ?? {}, def, parameterCount, view, environment);
  const rows = planRows(statement, def, parameterCount, view, environment);
  const clause = statement.onConflictClause;
  if (clause === undefined) return { ...rows, kind: 'insert', def, returning, conflict: null };
  const oids = environment.parameterOids.length > 0 ? environment.parameterOids : (rows.parameterOids ?? []);
  const planned = planConflict(statement, clause, def, oids, parameterCount, view, environment);
  const parameterOids = rows.parameterOids === null ? null : planned.parameterOids;
  return { ...rows, kind: 'insert', def, returning, conflict: planned.conflict, parameterOids };
}

/** The rows' query, with the WITH in front of the statement as its own. */
function withQueries({ selectStmt, withClause }: InsertStmt): Node | undefined {
  if (withClause === undefined || selectStmt === undefined || !('SelectStmt' in selectStmt)) return selectStmt;
  const { SelectStmt: select } = selectStmt;
  return { SelectStmt: { ...select, withClause: joinedWith(withClause, select.withClause) } };
}

type Rows = Pick<Extract<Statement, { kind: 'insert' }>, 'fieldIds' | 'source' | 'generated' | 'parameterOids'>;

/** What PostgreSQL works out it looks at as a whole first: whether each value may be assigned to its column, and where one is wrong. */
const oidsFor = ({ route }: QueryPlan): Rows['parameterOids'] => (route === 'catalog' ? null : []);

function planRows(
  statement: InsertStmt,
  def: TableDef,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Rows {
  const named = targetColumns(statement.cols ?? [], def);
  const source = withQueries(statement);
  if (source === undefined) {
    return {
      fieldIds: def.columns.map((column) => column.fieldId),
      source: { kind: 'values', rows: [def.columns.map(() => ({ kind: 'default' }))] },
      parameterOids: [],
    };
  }
  const select = (source as { SelectStmt: SelectStmt }).SelectStmt;
  if (
    select.valuesLists !== undefined &&
    select.sortClause === undefined &&
    select.limitCount === undefined &&
    select.limitOffset === undefined &&
    select.withClause === undefined
  ) {
    const targets = columnsFor(named, def, valuesWidth(select), statement, source);
    const values = overridden(select, targets, statement.override);
    const rows = valueRows(values, targets, view);
    const fieldIds = targets.map((column) => column.fieldId);
    if (rows !== null)
      return {
        fieldIds,
        source: { kind: 'values', rows },
        parameterOids: valueParameterOids(rows, targets, parameterCount),
      };
    const { generated, ...split } = splitGenerated(values, targets, view);
    const query = valuesQuery(split.select, split.targets);
    const text = Deparser.deparse(query);
    const plan =
      planHiddenCalls(query, text, parameterCount, view, environment) ??
      planQuery(query, text, parameterCount, view, environment);
    return {
      fieldIds: split.targets.map((column) => column.fieldId),
      source: {
        kind: 'query',
        plan:
          plan.route === 'catalog'
            ? plan
            : castPlan(query, split.targets, parameterCount, view, environment, statement).plan,
      },
      parameterOids: oidsFor(plan),
      generated,
    };
  }
  const split = splitSelected(select, named, def, view);
  const rest = split === null ? source : { SelectStmt: split.select };
  const columns = split?.targets ?? named;
  const { plan, targets } = selectSource(rest, columns, statement, def, parameterCount, view, environment);
  checkOverride([...targets, ...(split?.taken ?? [])], statement.override);
  return {
    fieldIds: targets.map((column) => column.fieldId),
    source: { kind: 'query', plan },
    parameterOids: oidsFor(plan),
    generated: split?.generated ?? [],
  };
}

function valuesWidth(select: SelectStmt): number {
  const first = select.valuesLists?.[0];
  const width = first !== undefined && 'List' in first ? (first.List.items ?? []).length : 0;
  for (const list of select.valuesLists ?? []) {
    const items = 'List' in list ? (list.List.items ?? []) : [];
    if (items.length !== width)
      throw new SqlError(SqlState.syntaxError, 'VALUES lists must all be the same length', atNode(items[0]));
  }
  return width;
}

/** The columns that `width` expressions go to: without a list of columns, the first ones. */
function columnsFor(
  named: readonly ColumnDef[] | null,
  def: TableDef,
  width: number,
  statement: InsertStmt,
  source: Node,
): readonly ColumnDef[] {
  const targets = named ?? def.columns;
  checkWidth(
    width,
    targets.length,
    named !== null,
    () => at(expressionLocation(source, targets.length)),
    () => atNode(statement.cols?.[width]),
  );
  return targets.slice(0, width);
}

function expressionLocation(source: Node, index: number): number | undefined {
  const select = (source as { SelectStmt: SelectStmt }).SelectStmt;
  const first = select.valuesLists?.[0];
  if (first !== undefined && 'List' in first) return locationOf(first.List.items?.[index]);
  return locationOf(select.targetList?.[index]);
}

/** Null when an expression must be evaluated. */
function valueRows(
  select: SelectStmt,
  targets: readonly ColumnDef[],
  view: CatalogView,
): readonly (readonly InsertValue[])[] | null {
  const rows: InsertValue[][] = [];
  for (const list of select.valuesLists ?? []) {
    const items = 'List' in list ? (list.List.items ?? []) : [];
    const row: InsertValue[] = [];
    for (let i = 0; i < items.length; i++) {
      const value = insertValue(items[i]!, targets[i]!, view);
      if (value === null) return null;
      row.push(value);
    }
    rows.push(row);
  }
  return rows;
}

function insertValue(node: Node, column: ColumnDef, view: CatalogView): InsertValue | null {
  if ('SetToDefault' in node) return { kind: 'default' };
  if ('ParamRef' in node) return { kind: 'parameter', index: node.ParamRef.number ?? 0 };
  const constant = constantFor(foldedConstant(node, column), column);
  if (constant !== undefined)
    return constant.text === null ? { kind: 'null' } : { kind: 'text', text: constant.text, position: placeOf(node) };
  const value = generatorFor(node, column, view);
  if (value === null) return null;
  return value.kind === 'now' && value.shift === undefined ? { kind: 'now' } : { kind: 'generated', value };
}

function valueParameterOids(
  rows: readonly (readonly InsertValue[])[],
  targets: readonly ColumnDef[],
  count: number,
): readonly number[] {
  const oids = Array.from({ length: count }, () => 0);
  for (const row of rows)
    row.forEach((value, i) => {
      if (value.kind === 'parameter' && oids[value.index - 1] === 0) oids[value.index - 1] = targets[i]!.type.oid;
    });
  return oids;
}

/** VALUES with expressions: each cast to its column's type, DEFAULT put in. varchar keeps its whole length, so that the length is checked at the end. */
function valuesQuery(select: SelectStmt, targets: readonly ColumnDef[]): Node {
  const valuesLists = (select.valuesLists ?? []).map((list) => {
    const items = 'List' in list ? (list.List.items ?? []) : [];
    return {
      List: {
        items: items.map((item, i) => castNode('SetToDefault' in item ? defaultNode(targets[i]!) : item, targets[i]!)),
      },
    };
  });
  return { SelectStmt: { valuesLists, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' } } as unknown as Node;
}

/** What their input function makes of a text is made when the row is written. */
const AS_TEXT: ReadonlySet<number> = new Set([Oid.varchar, Oid.bpchar, Oid.char, Oid.name]);

/** A value as the type of a column, without its length or precision. */
export function castNode(item: Node, column: ColumnDef): Node {
  const element = elementOf(column.type)?.oid;
  const type = formatType({
    oid:
      element !== undefined
        ? AS_TEXT.has(element)
          ? Oid.text
          : element
        : AS_TEXT.has(column.type.oid)
          ? Oid.text
          : column.type.oid,
    typmod: -1,
  });
  const bounds = element === undefined ? {} : { arrayBounds: [{ Integer: { ival: -1 } }] };
  return castTo(item, INTERNAL_NAMES[type] ?? type, bounds);
}

const INTERNAL_NAMES: Readonly<Record<string, string>> = {
  boolean: 'bool',
  smallint: 'int2',
  integer: 'int4',
  bigint: 'int8',
  real: 'float4',
  'double precision': 'float8',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
  'time without time zone': 'time',
};

function defaultNode(column: ColumnDef): Node {
  const value = defaultValue(column);
  if (value.kind === 'now')
    return { FuncCall: { funcname: [stringNode('now')], funcformat: 'COERCE_EXPLICIT_CALL' } } as unknown as Node;
  return (value.kind === 'null'
    ? { A_Const: { isnull: true } }
    : { A_Const: { sval: { sval: value.text } } }) as unknown as Node;
}

function selectSource(
  source: Node,
  named: readonly ColumnDef[] | null,
  statement: InsertStmt,
  def: TableDef,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): { plan: QueryPlan; targets: readonly ColumnDef[] } {
  if (findRelations(source, view).arka.size > 0)
    return castPlan(source, named ?? def.columns, parameterCount, view, environment, statement, { named, def });
  const width = selectWidth((source as { SelectStmt: SelectStmt }).SelectStmt);
  if (width === null) throw notSupported('INSERT … SELECT * from this source', { hint: 'Name the columns.' });
  const targets = columnsFor(named, def, width, statement, source);
  const plan = planQuery(source, Deparser.deparse(source), parameterCount, view, environment);
  if (plan.route === 'engine') return castPlan(source, targets, parameterCount, view, environment, statement);
  return { plan, targets };
}

/** The engine's rows, each column cast to its target's DuckDB type. */
function castPlan(
  source: Node,
  columns: readonly ColumnDef[],
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
  statement: InsertStmt,
  insert?: { named: readonly ColumnDef[] | null; def: TableDef },
): { plan: QueryPlan; targets: readonly ColumnDef[] } {
  const inner = planQuery(source, Deparser.deparse(source), parameterCount, view, environment);
  const tables = planTables(findRelations(source, view), environment.placeholder, false);
  const select = (source as { SelectStmt: SelectStmt }).SelectStmt;
  // The width is known once the query is written: a first writing, without values, says it.
  const targetsOf = (width: number): readonly ColumnDef[] =>
    insert === undefined ? columns : columnsFor(insert.named, insert.def, width, statement, source);
  /** PostgreSQL has the last word about all of the statement. */
  const resort = (to: readonly ColumnDef[]): Partial<QueryPlan> => {
    const { copied } = inner;
    if (copied === undefined) return {};
    const whole = (): string => Deparser.deparse({ InsertStmt: statement } as Node);
    return { copied: () => ({ ...assignedCopy(copied(), to), whole: whole() }) };
  };
  let outputs: ReturnType<typeof writeQuery>['outputs'];
  try {
    ({ outputs } = writeQuery(select, {
      tables,
      parameterOids: environment.parameterOids,
      onWhere: () => undefined,
    }));
  } catch (error) {
    const width = selectWidth(select);
    const isLacking = error instanceof SqlError && error.code === SqlState.featureNotSupported;
    if (!isLacking || inner.copied === undefined || width === null) throw error;
    const targets = targetsOf(width);
    const render = (): never => {
      throw error;
    };
    return { plan: { ...inner, tables: [...tables.values()], described: null, render, ...resort(targets) }, targets };
  }
  if (outputs === null) throw notSupported('INSERT … SELECT * of this source', { hint: 'Name the columns.' });
  const targets = targetsOf(outputs.length);
  const isPlain = select.larg === undefined && !JSON.stringify(select.targetList ?? []).includes('"A_Star"');
  outputs.forEach((output, i) => {
    const place = isPlain ? at(expressionLocation(source, i)) : {};
    if (output.untyped !== true) checkAssignable(output.oid, targets[i]!, place);
    if (isPlain) checkSelected(select.targetList?.[i], targets[i]!);
  });
  const renderer = new Renderer(
    tables,
    inner.parameterOids,
    false,
    (context) => {
      const written = writeQuery(select, context);
      const names = targets.map((_, i) => quoteIdentifier(`c${i}`));
      const casts = targets.map(
        (column, i) =>
          `${assignmentCast(`"source".${names[i]}`, outputs[i]!.oid, column)} AS ${quoteIdentifier(column.name)}`,
      );
      return {
        sql: `SELECT ${casts.join(', ')} FROM (${written.sql}) AS "source"(${names.join(', ')})`,
        outputs: null,
      };
    },
    null,
  );
  return {
    plan: {
      ...inner,
      tables: [...tables.values()],
      described: null,
      render: (parameters) => renderer.render(parameters),
      ...resort(targets),
    },
    targets,
  };
}

function checkSelected(target: Node | undefined, column: ColumnDef): void {
  const value = target !== undefined && 'ResTarget' in target ? target.ResTarget.val : undefined;
  const constant = value === undefined ? undefined : constantFor(value, column);
  if (value !== undefined && constant !== undefined && constant.text !== null)
    checkConstant(constant.text, column, value);
}

/** What PostgreSQL runs over copies of rows, cast to the columns' types; lengths, scales and precisions are looked at when the row is written. */
function assignedCopy(copied: CopiedQuery, targets: readonly ColumnDef[]): CopiedQuery {
  const names = targets.map((_, i) => quoteIdentifier(`c${i}`));
  const casts = targets.map(({ type: { oid } }, i) => {
    const type = formatType({ oid: AS_TEXT.has(oid) ? Oid.text : oid, typmod: -1 });
    return `CAST(${names[i]!} AS ${type})`;
  });
  return { ...copied, text: `SELECT ${casts.join(', ')} FROM (${copied.text}) AS given (${names.join(', ')})` };
}
