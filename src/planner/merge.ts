/**
 * MERGE: a join of the source with the target's rows, which says for each pair which WHEN applies, then the new row, then the
 * old row's name. Where a WHEN NOT MATCHED is there, source rows without a match come, too.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { MergeStmt, MergeWhenClause, Node, RangeVar } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { nameFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { engineType } from '../types/pg-type.ts';
import { assignmentsOf, generatedColumns, isMadeByWriter, targetColumns, writeAssignment } from './assignments.ts';
import { atNode, walk } from './ast.ts';
import { writeCondition } from './duckdb/expression.ts';
import { writeFrom } from './duckdb/from.ts';
import { writeWith } from './duckdb/query.ts';
import { rootScope, type Scope, type WriterContext } from './duckdb/scope.ts';
import { copiedMerge, joinOf, type When } from './copied-merge.ts';
import { generatedAlways } from './generators.ts';
import { checkWidth } from './insert-values.ts';
import type { CatalogView, PlannedTable, Statement } from './plan.ts';
import { Renderer, type PlannerEnvironment } from './query-plan.ts';
import { findRelations, planTables } from './relations.ts';
import { targetTable } from './schema-names.ts';
import { stabilityOf } from './unstable-queries.ts';

const NONE: ReadonlySet<ColumnDef> = new Set();
const DEFAULT = { SetToDefault: {} } as unknown as Node;

/** @throws {SqlError} 42P01, 42703, 42804, 42601, 0A000 */
export function planMerge(
  statement: MergeStmt,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if ((statement as { returningClause?: unknown }).returningClause !== undefined)
    throw new SqlError(SqlState.syntaxError, 'syntax error at or near "RETURNING"');
  const relation = statement.relation ?? {};
  const def = targetTable(relation, view, 'merge into');
  const clauses = (statement.mergeWhenClauses ?? []).flatMap((node) =>
    'MergeWhenClause' in node
      ? [whenOf(node.MergeWhenClause, def, relation.alias?.aliasname ?? relation.relname ?? '')]
      : [],
  );
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const { sourceRelation: source, joinCondition, withClause } = statement;
  const parts = clauses.flatMap((when) => [when.condition, ...when.values.values()]);
  const relations = findRelations({ withClause, source, joinCondition, parts }, view);
  const tables = new Map<object, PlannedTable>([
    [relation, own],
    ...planTables(relations, environment.placeholder, false),
  ]);
  const renderer = new Renderer(
    tables,
    environment.parameterOids,
    false,
    (context) => ({ sql: writeMerge(statement, relation, def, clauses, context), outputs: null }),
    null,
  );
  return {
    kind: 'merge',
    def,
    actions: clauses.map((when) => when.action),
    generated: clauses.map((when) => [...when.generated].map((column) => column.fieldId)),
    renames: clauses.some(
      ({ action, values }) =>
        action === 'update' && [...values.keys()].some(({ fieldId }) => def.key.includes(fieldId)),
    ),
    returning: null,
    plan: renderer.plan(text),
    copied: copiedMerge(statement, def, clauses, parameterCount, view, environment),
  };
}

function whenOf(clause: MergeWhenClause, def: TableDef, alias: string): When {
  if (clause.matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE') throw notSupported('WHEN NOT MATCHED BY SOURCE');
  const isMatched = clause.matchKind === 'MERGE_WHEN_MATCHED';
  const head = { isMatched, condition: clause.condition, values: new Map(), generated: NONE };
  switch (clause.commandType) {
    case 'CMD_UPDATE': {
      const values = assignmentsOf(clause.targetList ?? [], def, alias);
      return { ...head, action: 'update', values, generated: generatedColumns(values) };
    }
    case 'CMD_DELETE':
      return { ...head, action: 'delete' };
    case 'CMD_INSERT': {
      const values = insertedValues(clause, def);
      return { ...head, action: 'insert', values, generated: generatedDefaults(values, def) };
    }
    default:
      return { ...head, action: 'nothing' };
  }
}

/** @throws {SqlError} 428C9 for a value of a column GENERATED ALWAYS */
function insertedValues(
  { targetList, values, override }: MergeWhenClause,
  def: TableDef,
): ReadonlyMap<ColumnDef, Node> {
  const named = targetColumns(targetList ?? [], def);
  const columns = named ?? def.columns;
  const given = values ?? [];
  checkWidth(
    given.length,
    columns.length,
    named !== null && given.length > 0,
    () => atNode(given[columns.length]),
    () => atNode(targetList?.[given.length]),
  );
  return new Map(
    given.map((value, i) => {
      const column = columns[i]!;
      if (column.generated !== undefined && !('SetToDefault' in value)) throw generatedAlways(column);
      if (column.identity === undefined || override === 'OVERRIDING_SYSTEM_VALUE') return [column, value];
      if (override === 'OVERRIDING_USER_VALUE') return [column, DEFAULT];
      if (column.identity === 'always' && !('SetToDefault' in value)) throw generatedAlways(column);
      return [column, value];
    }),
  );
}

/** Whose default the query cannot give. */
function generatedDefaults(values: ReadonlyMap<ColumnDef, Node>, { columns }: TableDef): ReadonlySet<ColumnDef> {
  return new Set(
    columns.filter((column) => {
      const value = values.get(column);
      return isMadeByWriter(column) && (value === undefined || 'SetToDefault' in value);
    }),
  );
}

function writeMerge(
  { sourceRelation: source, joinCondition, withClause }: MergeStmt,
  relation: RangeVar,
  def: TableDef,
  clauses: readonly When[],
  context: WriterContext,
): string {
  const { prefix, scope: outer } = writeWith(withClause, rootScope(context));
  const join = { jointype: joinOf(clauses), larg: source, rarg: { RangeVar: relation }, quals: joinCondition };
  const { sql: joined, scope } = writeFrom([{ JoinExpr: join } as unknown as Node], outer);
  const target = quoteIdentifier(relation.alias?.aliasname ?? relation.relname ?? '');
  const isMatched = `${target}."__unit" IS NOT NULL`;
  // What is inserted does not see the target's row: it is none.
  const unmatched: Scope = { ...scope, items: scope.items.filter((item) => quoteIdentifier(item.alias) !== target) };
  const branches = clauses.map((when, i) => {
    const tests = [when.isMatched ? isMatched : `NOT (${isMatched})`];
    if (when.condition !== undefined)
      tests.push(`(${writeCondition(when.condition, when.isMatched ? scope : unmatched, 'WHEN')})`);
    return `WHEN ${tests.join(' AND ')} THEN ${when.action === 'nothing' ? 'NULL' : i}`;
  });
  const chosen = `CASE ${branches.join(' ')} END`;
  // DuckDB does not name an expression with a subquery within its SELECT; it works out equal ones once.
  let isNested = false;
  for (const { condition } of clauses)
    walk({ Below: condition }, (tag) => {
      if (tag === 'SubLink') isNested = true;
    });
  if (isNested && clauses.some(({ condition }) => condition !== undefined && stabilityOf(condition) !== 'stable'))
    throw notSupported('MERGE with a subquery in WHEN beside what may be another each time over Arka tables');
  const columns = def.columns.map((column) => {
    const cases = clauses.flatMap((when, i) => {
      if ((when.action !== 'update' && when.action !== 'insert') || when.generated.has(column)) return [];
      const value = when.values.get(column) ?? (when.action === 'insert' ? DEFAULT : undefined);
      const inside = when.action === 'insert' ? unmatched : scope;
      const sql =
        value === undefined ? `${target}.${quoteIdentifier(column.name)}` : writeAssignment(value, column, inside);
      return [`WHEN ${i} THEN ${sql}`];
    });
    const type = engineType(column.type);
    return cases.length === 0
      ? `CAST(NULL AS ${type})`
      : `CASE ${isNested ? chosen : '"__when"'} ${cases.join(' ')} END`;
  });
  const names = nameFields(def).map((fieldId) => {
    const column = def.columns.find((each) => each.fieldId === fieldId)!;
    return `${target}.${quoteIdentifier(column.name)}`;
  });
  const list = [...columns, ...names].map((column, i) => `${column} AS "c${i}"`);
  const place = `coalesce(${target}."__unit", -1) AS "__u", coalesce(${target}."__position", -1) AS "__p"`;
  const inner = `SELECT ${chosen} AS "__when", ${place}, ${list.join(', ')} FROM ${joined}`;
  const outputs = [...columns, ...names].map((_, i) => `"c${i}"`);
  return `${prefix}SELECT "__u", "__p", "__when", ${outputs.join(', ')} FROM (${inner}) AS "__merge" WHERE "__when" IS NOT NULL`;
}
