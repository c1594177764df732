/** A SELECT → QueryPlan: its way, its scans, its description if Arka can give one, and the SQL on demand. */
import type { Node, SelectStmt } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { zoneName } from '../types/output-styles.ts';
import type { TableDef } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { at, misplacedInto, stringsOf, walk } from './ast.ts';
import { isSessionCall } from './session-functions.ts';
import { findFeeds, positionOf, refuseFollowing } from './changes.ts';
import { asksForPlaces, copiedTables, isWritten, type CopiedQuery } from './copied-query.ts';
import { columnConditions, columnFilter, onlyEqualities, type ColumnCondition } from './column-filters.ts';
import { countsRows, describeSelect, isConstant, simpleColumn, simpleScope } from './describe.ts';
import { writeQuery, type WrittenQuery } from './duckdb/query.ts';
import { resolveHere, type Scope, type WriterContext } from './duckdb/scope.ts';
import { writesStyled, writing, writingFor } from './duckdb/styled-session.ts';
import { fill, template, type Template } from './duckdb/typed.ts';
import { inNewWords } from './old-words.ts';
import { isSequenceFunction } from './insert-values.ts';
import { replaceTimes, type Constants } from './own-functions.ts';
import type {
  CatalogView,
  ColumnFilter,
  IndexedRead,
  KeyCondition,
  ParameterValue,
  PlannedTable,
  QueryPlan,
  RenderedQuery,
  TimeRange,
} from './plan.ts';
import { hasLongSeries } from './long-series.ts';
import { comparisons, keyPlaces, pointKey, timeRange, type Comparison } from './predicates.ts';
import { findAnyRelations, onlyTable, planTables, viewsRead, type Relations } from './relations.ts';

/** What a session adds to the text: its constants, the types it declared, and names for scans. */
export interface PlannerEnvironment {
  /** Arka's own functions with constant arguments; undefined: not Arka's. */
  readonly constants: Constants;
  readonly parameterOids: readonly number[];
  /** @param relation the RangeVar that the scan is of, where it is one */
  readonly placeholder: (relation?: object) => string;
  /** The session's zone; without it, literals without a zone bound no timestamptz column. */
  readonly timeZone?: string;
}

/** @throws {SqlError} 42P01, 0A000 */
export function planQuery(
  node: Node,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): QueryPlan {
  return writingFor(environment.timeZone, () => planned(node, text, parameterCount, view, environment));
}

function planned(
  node: Node,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): QueryPlan {
  const found = findFeeds(node, text, view);
  const select = (found.node as { SelectStmt: SelectStmt }).SelectStmt;
  refuseShapes(select);
  const relations = findAnyRelations(found.node, view, found.feeds);
  const tables = planTables(relations, environment.placeholder, false);
  const only = onlyTable(select);
  const def = only === undefined ? null : (relations.arka.get(only) ?? null);
  const simple = only === undefined ? (select.fromClause ?? []).length === 0 : def !== null;
  const described = simple
    ? describeSelect(select, simpleScope(def, only, environment.parameterOids), parameterCount)
    : null;
  const parameterOids = described?.parameterOids ?? environment.parameterOids;
  const shared = {
    tables: [...tables.values()],
    text: found.text,
    described: described?.columns ?? null,
    parameterOids,
  };
  if (shared.tables.some(({ feed }) => feed?.follow === true)) refuseFollowing(found.node);
  if (tables.size === 0) {
    const streamed =
      parameterCount === 0 && relations.catalog.length === 0 ? longSeriesPlan(select, shared, environment) : null;
    if (streamed !== null) return streamed;
    return {
      ...shared,
      text: inNewWords(replaceTimes(found.node, found.text)),
      route: 'catalog',
      isConstant: isConstant(select),
      views: viewsRead(relations, view),
      render: () => {
        throw notSupported('the engine for a statement that reads no Arka table');
      },
    };
  }
  const point = def === null ? null : pointOf(select, def, simpleScope(def, only, []));
  const renderer = new Renderer(
    tables,
    parameterOids,
    isUtc(environment),
    (context) => {
      if (relations.mixed !== null) throw relations.mixed;
      return writeQuery(select, context);
    },
    point,
  );
  const plan = {
    ...renderer.plan(found.text, shared.described),
    ...withCopies(found, relations, parameterCount, view, environment),
  };
  const counted = def !== null && shared.described !== null && countsRows(select) ? tables.get(only!) : undefined;
  return counted === undefined || counted.feed !== undefined ? plan : { ...plan, counts: counted };
}

/** Long series of numbers are the engine's, if it has all that the statement asks for; null: PostgreSQL's. */
function longSeriesPlan(
  select: SelectStmt,
  { text, described }: Pick<QueryPlan, 'text' | 'described'>,
  environment: PlannerEnvironment,
): QueryPlan | null {
  if (!hasLongSeries({ SelectStmt: select })) return null;
  const write = (context: WriterContext): WrittenQuery => writeQuery(select, context);
  const plan = new Renderer(new Map(), [], isUtc(environment), write, null).plan(text, described);
  return isWritten(() => plan.render([])) ? plan : null;
}

/** The way over copies of rows, where there may be one. */
function withCopies(
  { node, text }: { readonly node: Node; readonly text: string },
  relations: Relations,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): { readonly copied?: () => CopiedQuery } {
  if (relations.feeds.size > 0) return {};
  const { SelectStmt: select } = node as { SelectStmt: SelectStmt };
  const plan = (of: Node): QueryPlan => planQuery(of, '', parameterCount, view, environment);
  const copied = (): CopiedQuery => {
    if (asksForPlaces(node)) throw notSupported('a system column of Arka tables');
    return {
      text: inNewWords(replaceTimes(node, text)),
      views: viewsRead(relations, view),
      tables: (parameters) => copiedTables(select, relations.arka, plan, parameters),
    };
  };
  return { copied };
}

export function isUtc(environment: PlannerEnvironment): boolean {
  const { timeZone } = environment;
  return timeZone !== undefined && /^(utc|etc\/utc|gmt|z|zulu|etc\/gmt|uct)$/i.test(zoneName(timeZone));
}

function refuseShapes(select: SelectStmt): void {
  if (select.intoClause !== undefined) throw misplacedInto(select.intoClause);
  walk({ SelectStmt: select }, (tag, body) => {
    const name = tag === 'FuncCall' ? (body['funcname'] as Node[]) : undefined;
    if (isSequenceFunction(name) || isSessionCall(name, body['args']))
      throw notSupported(`${stringsOf(name).at(-1)}() inside an expression`, {
        hint: 'It may be a whole column of a SELECT, or stand in a SELECT or VALUES without tables.',
        ...at(body['location'] as number),
      });
    if (tag === 'LockingClause') throw notSupported('SELECT … FOR UPDATE or FOR SHARE');
  });
}

/** `sorted`: in an order that is asked for. */
export interface PointCandidate {
  readonly def: TableDef;
  /** All that is asked, where it is comparisons alone; else none. */
  readonly comparisons: readonly Comparison[];
  /** All that is asked, where it is equality alone. */
  readonly equalities: readonly ColumnCondition[] | null;
  readonly fieldIds: readonly number[];
  readonly sorted: boolean;
}

/** `SELECT plain columns FROM t WHERE comparisons and lists AND-ed` and nothing else. */
function pointOf(select: SelectStmt, def: TableDef, scope: ReturnType<typeof simpleScope>): PointCandidate | null {
  const plain =
    select.withClause === undefined &&
    (select.op === undefined || select.op === 'SETOP_NONE') &&
    select.distinctClause === undefined &&
    select.groupClause === undefined &&
    select.havingClause === undefined &&
    select.windowClause === undefined &&
    select.limitCount === undefined &&
    select.limitOffset === undefined &&
    (onlyTable(select)?.alias?.colnames ?? []).length === 0;
  if (!plain) return null;
  const fieldIds: number[] = [];
  for (const target of select.targetList ?? []) {
    const value = 'ResTarget' in target ? target.ResTarget.val! : undefined;
    if (value === undefined) return null;
    if ('ColumnRef' in value && value.ColumnRef.fields?.length === 1 && 'A_Star' in value.ColumnRef.fields[0]!) {
      fieldIds.push(...def.columns.map((column) => column.fieldId));
      continue;
    }
    const column = simpleColumn(value, scope);
    if (column === null) return null;
    fieldIds.push(column.fieldId);
  }
  return pointCandidate(select.whereClause, def, scope.alias, fieldIds, select.sortClause !== undefined);
}

/** Null unless the condition is comparisons of this table's columns, or equality of them with one value or several. */
export function pointCandidate(
  where: Node | undefined,
  def: TableDef,
  alias: string,
  fieldIds: readonly number[],
  sorted: boolean,
): PointCandidate | null {
  if (where === undefined) return null;
  const isOwn = (one: { readonly alias: string | null }): boolean => one.alias === null || one.alias === alias;
  const found = comparisons(where);
  const compared = found.complete && found.list.every(isOwn) ? found.list : [];
  const equal = onlyEqualities(where);
  const equalities = equal?.every(isOwn) === true ? equal : null;
  if (compared.length === 0 && equalities === null) return null;
  return { def, comparisons: compared, equalities, fieldIds, sorted };
}

/** Comparisons of a table's time column, and all that says something of one column. */
interface TableBounds {
  readonly planned: PlannedTable;
  readonly times: readonly Comparison[];
  readonly conditions: readonly FieldCondition[];
}

interface FieldCondition {
  readonly fieldId: number;
  readonly condition: ColumnCondition;
}

/** Writes once, at the first need; renders each time. */
export class Renderer {
  readonly #tables: ReadonlyMap<object, PlannedTable>;
  readonly #parameterOids: readonly number[];
  readonly #utc: boolean;
  readonly #write: (context: WriterContext) => WrittenQuery;
  readonly #isStyled = writesStyled();
  readonly #point: PointCandidate | null;
  #template: Template | null = null;
  #bounds: readonly TableBounds[] = [];

  constructor(
    tables: ReadonlyMap<object, PlannedTable>,
    parameterOids: readonly number[],
    utc: boolean,
    write: (context: WriterContext) => WrittenQuery,
    point: PointCandidate | null,
  ) {
    this.#tables = tables;
    this.#parameterOids = parameterOids;
    this.#utc = utc;
    this.#write = write;
    this.#point = point;
  }

  /** What the engine is asked by it. `described` null: PostgreSQL says what it gives, or nobody asks. */
  plan(text = '', described: QueryPlan['described'] = null): QueryPlan {
    const point = this.#point;
    return {
      route: 'engine',
      tables: [...this.#tables.values()],
      text,
      views: [],
      described,
      parameterOids: this.#parameterOids,
      ...(point === null || point.comparisons.length === 0 ? {} : { point: keyCondition(point) }),
      render: (parameters) => this.render(parameters),
    };
  }

  /** Null when no literal of the WHERE could be put in: the caller never sees half a query. */
  render(parameters: readonly ParameterValue[]): RenderedQuery {
    const parts = this.#written();
    const tables = [...this.#tables.values()];
    const timeRanges = tables.map((planned) => this.#rangeOf(planned, parameters));
    let sql: string | null = null;
    return {
      // What main reads by an index seldom needs the text.
      get sql(): string {
        return (sql ??= fill(parts, parameters));
      },
      timeRanges,
      filters: (place) => this.#filtersOf(tables[place]!, parameters),
      indexed: this.#indexedRead(parameters),
      since: ({ since }) => positionOf(since, parameters),
    };
  }

  #written(): Template {
    if (this.#template !== null) return this.#template;
    const bounds: TableBounds[] = [];
    const context: WriterContext = {
      tables: this.#tables,
      parameterOids: this.#parameterOids,
      onWhere: (where, scope) => bounds.push(...boundsOf(where, scope)),
    };
    const written = writing(this.#isStyled, () => this.#write(context));
    this.#bounds = bounds;
    return (this.#template = template(written.sql));
  }

  #rangeOf(planned: PlannedTable, parameters: readonly ParameterValue[]): TimeRange | null {
    const found = this.#bounds.filter((one) => one.planned === planned).flatMap((one) => one.times);
    return found.length === 0 ? null : timeRange(planned.def, found, parameters, this.#utc);
  }

  #filtersOf(planned: PlannedTable, parameters: readonly ParameterValue[]): readonly ColumnFilter[] {
    const found = this.#bounds.filter((one) => one.planned === planned).flatMap((one) => one.conditions);
    return found.flatMap(({ fieldId, condition }) => {
      const column = planned.def.columns.find((each) => each.fieldId === fieldId);
      const filter = column === undefined ? null : columnFilter(column, condition, parameters);
      return filter === null ? [] : [filter];
    });
  }

  #indexedRead(parameters: readonly ParameterValue[]): IndexedRead | null {
    if (this.#point === null || this.#point.sorted || this.#point.def.indexes.length === 0) return null;
    const { def, equalities, fieldIds } = this.#point;
    const filters: ColumnFilter[] = [];
    for (const condition of equalities ?? []) {
      const column = def.columns.find(({ name }) => name === condition.column);
      const filter = column === undefined ? null : columnFilter(column, condition, parameters);
      // A real is compared as double precision: the value that it has is not that of the other side.
      if (filter === null || column!.type.oid === Oid.float4) return null;
      filters.push(filter);
    }
    return filters.length === 0 ? null : { def, filters, fieldIds };
  }
}

export function keyCondition({ def, comparisons: list, fieldIds }: PointCandidate): KeyCondition {
  return {
    def,
    fieldIds,
    places: keyPlaces(def, list),
    read: (parameters) => {
      const key = pointKey(def, list, parameters);
      return key === null ? null : { def, key, fieldIds };
    },
  };
}

/** What one level's WHERE says of columns of that level's own tables. */
function boundsOf(where: Node, scope: Scope): readonly TableBounds[] {
  const bounds = new Map<PlannedTable, { times: Comparison[]; conditions: FieldCondition[] }>();
  /** The bounds of the table that has the column, and the column's field; null: it is not certain. */
  const own = (alias: string | null, column: string) => {
    const resolved = resolveHere(scope, alias, column);
    const table = resolved?.item.table;
    if (resolved === undefined || table === null || table === undefined) return null;
    if (scope.items.some((item) => item.columns === null) && alias === null) return null;
    const found = bounds.get(table.planned) ?? { times: [], conditions: [] };
    bounds.set(table.planned, found);
    return { found, def: table.planned.def, fieldId: table.fieldIds[resolved.index]! };
  };
  for (const one of comparisons(where).list) {
    const place = own(one.alias, one.column);
    if (place === null) continue;
    const { found, def, fieldId } = place;
    if (fieldId === def.timeColumn) found.times.push(one);
  }
  for (const condition of columnConditions(where)) {
    if (condition.kind === 'null' && condition.is && scope.items.length > 1) continue; // F2
    const place = own(condition.alias, condition.column);
    place?.found.conditions.push({ fieldId: place.fieldId, condition });
  }
  return [...bounds].map(([planned, found]) => ({ planned, ...found }));
}
