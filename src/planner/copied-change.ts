/**
 * UPDATE and DELETE that the engine has no way for: PostgreSQL itself, over copies of rows, says which rows of the table they are about and
 * what is assigned to them; a query of the engine then finds those rows where they lie now.
 *
 * - C1 PostgreSQL says whole rows as they were. Only a row that is still the same is found, so what was worked out of an older version is
 *   never written over a newer one; who misses a row asks again.
 * - C2 Rows of a table without a key that are equal in all columns are interchangeable: of so many that PostgreSQL names as many are found.
 */
import type { DeleteStmt, Node, RangeVar, SelectStmt, UpdateStmt, WithClause } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnDef, PgType, TableDef } from '../table-def.ts';
import { elementOf, Oid } from '../types/pg-type.ts';
import { partsIn } from './array-parts.ts';
import { columnNode, stringNode } from './ast.ts';
import { defaultValue } from './column-default.ts';
import { castNode } from './insert.ts';
import { inNewWords } from './old-words.ts';
import { replaceTimes } from './own-functions.ts';
import type { CatalogView, CopiedChange, PlannedTable, QueryPlan } from './plan.ts';
import { planQuery, Renderer, type PlannerEnvironment } from './query-plan.ts';

interface Changed {
  readonly statement: { readonly UpdateStmt: UpdateStmt } | { readonly DeleteStmt: DeleteStmt };
  readonly relation: RangeVar;
  readonly def: TableDef;
  readonly where: Node | undefined;
  readonly with: WithClause | undefined;
  readonly from: readonly Node[];
  readonly parameterCount: number;
}

const GIVEN = quoteIdentifier('__given');

/**
 * @param columns of the statement's own plan, behind unit and position: what is assigned to a column is the SQL of `assigned`
 * @returns null: there is no such way
 */
export function copiedChange(
  { statement, relation, def, where, with: withClause, from, parameterCount }: Changed,
  assignments: ReadonlyMap<ColumnDef, Node>,
  view: CatalogView,
  environment: PlannerEnvironment,
  columns: (assigned: (column: ColumnDef) => string) => readonly string[],
): (() => CopiedChange) | null {
  if ([...assignments.values()].some((value) => partsIn(value) !== null)) return null;
  return () => {
    const alias = aliasOf(relation);
    const values = [
      ...[...assignments].map(([column, value]) => assigned(value, column)),
      ...def.columns.map(({ name }) => columnNode(alias, name)),
    ];
    const select = {
      ...(withClause === undefined ? {} : { withClause }),
      targetList: values.map((val) => ({ ResTarget: { val } })),
      fromClause: [{ RangeVar: relation }, ...from],
      ...(where === undefined ? {} : { whereClause: where }),
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    } as unknown as SelectStmt;
    const once = from.length === 0 ? select : { ...select, distinctClause: nameNodes(alias, def) };
    const order = [...assignments.keys()];
    const given = givenRows(
      def,
      [...order, ...def.columns].map(({ type }) => type),
      environment,
    );
    const list = columns((column) => given.value(order.indexOf(column)));
    const whole = Deparser.deparse(statement as Node);
    return {
      query: queryOfCopies(select, once, whole, parameterCount, view, environment),
      ...foundAgain(relation, def, given, order.length, list, environment),
    };
  };
}

/** A value as its column's type has it. @throws {SqlError} 0A000 for a default that no query gives */
export function assigned(value: Node, column: ColumnDef): Node {
  return castNode('SetToDefault' in value ? defaultNode(column) : value, column);
}

function defaultNode(column: ColumnDef): Node {
  const given = defaultValue(column);
  if (given.kind === 'now') return { FuncCall: { funcname: [stringNode('now')] } } as Node;
  return { A_Const: given.kind === 'null' ? { isnull: true } : { sval: { sval: given.text } } } as unknown as Node;
}

/** What tells rows apart where PostgreSQL runs: the key, else the place of the copy. */
function nameNodes(alias: string, def: TableDef): Node[] {
  return def.key.length === 0 ? [columnNode(alias, 'ctid')] : keysOf(def).map(({ name }) => columnNode(alias, name));
}

/** `asked`: the same, and with system columns of the copies. */
export function queryOfCopies(
  select: SelectStmt,
  asked: SelectStmt,
  whole: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): QueryPlan {
  const [node, last] = [select, asked].map((SelectStmt) => ({ SelectStmt }) as Node) as [Node, Node];
  const planned = planQuery(node, Deparser.deparse(node), parameterCount, view, environment);
  const { copied } = planned;
  if (copied === undefined) return { ...planned, text: Deparser.deparse(last) };
  const text = (): string => inNewWords(replaceTimes(last, Deparser.deparse(last)));
  return { ...planned, copied: () => ({ ...copied(), text: text(), whole }) };
}

/** Rows that PostgreSQL gives, as those of a table beside the statement's own. */
export interface GivenRows {
  readonly def: TableDef;
  readonly table: PlannedTable;
  /** SQL of a value of them. */
  readonly value: (index: number) => string;
}

export function givenRows(of: TableDef, types: readonly PgType[], environment: PlannerEnvironment): GivenRows {
  const columns = types.map((type, i): ColumnDef => ({
    name: `v${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type,
    notNull: false,
    default: null,
  }));
  const def: TableDef = { ...of, uuid: '', columns, key: [], checks: [], indexes: [] };
  return {
    def,
    table: { def, placeholder: environment.placeholder(), positions: false },
    value: (index) => `${GIVEN}.${quoteIdentifier(columns[index]!.name)}`,
  };
}

/** How rows are found where they lie now; those as they were begin at `first` of the given values. */
function foundAgain(
  relation: RangeVar,
  def: TableDef,
  given: GivenRows,
  first: number,
  columns: readonly string[],
  environment: PlannerEnvironment,
): Omit<CopiedChange, 'query'> {
  const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const alias = quoteIdentifier(aliasOf(relation));
  const list = [`${alias}."__unit"`, `${alias}."__position"`, ...columns];
  const outputs = list.map((each, i) => `${each} AS "c${i}"`).join(', ');
  const [source, beside] = [own, given.table].map(({ placeholder }) => quoteIdentifier(placeholder));
  const same = sameRow(alias, def, given, first);
  if (def.key.length > 0)
    return engineRows(own, given, `SELECT ${outputs} FROM ${source} AS ${alias} JOIN ${beside} AS ${GIVEN} ON ${same}`);
  const nth = (images: readonly string[]): string =>
    `row_number() OVER (PARTITION BY ${images.join(', ')}) AS "__arka_nth"`;
  const [asked, there] = [
    nth(def.columns.map(({ type }, i) => image(given.value(first + i), type))),
    nth(def.columns.map(({ name, type }) => image(`${alias}.${quoteIdentifier(name)}`, type))),
  ];
  const sql = [
    `WITH "__arka_given" AS MATERIALIZED (SELECT *, ${asked} FROM ${beside} AS ${GIVEN}),`,
    `"__arka_equal" AS (SELECT ${alias}.*, ${there} FROM ${source} AS ${alias} SEMI JOIN "__arka_given" AS ${GIVEN} ON ${same})`,
    `SELECT ${outputs} FROM "__arka_equal" AS ${alias} JOIN "__arka_given" AS ${GIVEN} ON ${alias}."__arka_nth" = ${GIVEN}."__arka_nth" AND ${same}`,
  ];
  return engineRows(own, given, sql.join(' '));
}

export function engineRows(own: PlannedTable, given: GivenRows, sql: string): Omit<CopiedChange, 'query'> {
  const tables = new Map<object, PlannedTable>([
    [own, own],
    [given.table, given.table],
  ]);
  return {
    def: given.def,
    rows: given.table.placeholder,
    plan: new Renderer(tables, [], false, () => ({ sql, outputs: null }), null).plan(),
  };
}

/** A row is one that is given, as it was (C1). */
export function sameRow(alias: string, def: TableDef, given: GivenRows, first: number): string {
  const isKeyed = def.key.length > 0;
  const tests = def.columns.map(({ name, type, fieldId }, i) => {
    const sides = [`${alias}.${quoteIdentifier(name)}`, given.value(first + i)];
    const [a, b] = isKeyed ? sides : sides.map((side) => image(side, type));
    return `${a} ${def.key.includes(fieldId) ? '=' : 'IS NOT DISTINCT FROM'} ${b}`;
  });
  return tests.join(' AND ');
}

const UNLIKE: ReadonlySet<number> = new Set([Oid.float4, Oid.float8, Oid.interval]);

/** The engine takes 0 for -0, and a month for thirty days. */
function image(sql: string, type: PgType): string {
  return UNLIKE.has((elementOf(type) ?? type).oid) ? `CAST(${sql} AS VARCHAR)` : sql;
}

export function keysOf(def: TableDef): readonly ColumnDef[] {
  return def.columns.filter(({ fieldId }) => def.key.includes(fieldId));
}

export function aliasOf(relation: RangeVar): string {
  return relation.alias?.aliasname ?? relation.relname ?? '';
}
