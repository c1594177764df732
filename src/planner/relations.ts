/**
 * Which relations a query reads, and so which way it goes: Arka's tables to the engine, PostgreSQL's catalogs and
 * everything without a table to PGlite. Names of WITH shadow tables where PostgreSQL says so.
 */
import type { Node, RangeVar, SelectStmt, WithClause } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { TableDef } from '../table-def.ts';
import { at } from './ast.ts';
import type { CatalogView, ChangeFeed, PlannedTable } from './plan.ts';
import { displayName, findTable, isCatalogRelation, undefinedTable } from './schema-names.ts';

export interface Relations {
  /** RangeVar bodies of Arka's tables, by identity: one scan for each place a table stands. */
  readonly arka: ReadonlyMap<object, TableDef>;
  readonly catalog: readonly RangeVar[];
  readonly feeds: Feeds;
  /** 0A000 for Arka tables beside catalogs: the engine has only the former. */
  readonly mixed: SqlError | null;
}

/** Those of the RangeVars that stand for the changes of a table. */
type Feeds = ReadonlyMap<object, { readonly def: TableDef; readonly feed: ChangeFeed }>;

/** @throws {SqlError} 42P01 with position; 0A000 for a WITH that writes below the top level and for Arka tables beside catalogs */
export function findRelations(statement: unknown, view: CatalogView, feeds: Feeds = new Map()): Relations {
  const relations = findAnyRelations(statement, view, feeds);
  if (relations.mixed !== null) throw relations.mixed;
  return relations;
}

/** @throws {SqlError} 42P01 with position; 0A000 for a WITH that writes below the top level */
export function findAnyRelations(statement: unknown, view: CatalogView, feeds: Feeds = new Map()): Relations {
  const finder = new Finder(view, feeds);
  finder.visit(statement, new Set());
  const { arka, catalog } = finder;
  const [first] = catalog;
  const mixed =
    arka.size > 0 && first !== undefined
      ? notSupported(
          `a query of Arka tables together with catalog relation "${displayName(first)}"`,
          at(first.location),
        )
      : null;
  return { arka, catalog, feeds, mixed };
}

/** PostgreSQL has none, either. */
export function nestedModifyingWith(location: number | undefined): SqlError {
  return new SqlError(
    SqlState.featureNotSupported,
    'WITH clause containing a data-modifying statement must be at the top level',
    at(location),
  );
}

class Finder {
  readonly arka = new Map<object, TableDef>();
  readonly catalog: RangeVar[] = [];
  readonly #view: CatalogView;
  readonly #feeds: Feeds;

  constructor(view: CatalogView, feeds: Feeds) {
    this.#view = view;
    this.#feeds = feeds;
  }

  visit(value: unknown, ctes: ReadonlySet<string>): void {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) this.visit(item, ctes);
      return;
    }
    const record = value as Record<string, unknown>;
    const inner = record['withClause'] === undefined ? ctes : this.#with(record['withClause'] as WithClause, ctes);
    for (const key in record) {
      if (key === 'withClause') continue;
      const child = record[key];
      if (key === 'RangeVar') this.#relation(child as RangeVar, inner);
      else this.visit(child, inner);
    }
  }

  #with(clause: WithClause, outer: ReadonlySet<string>): ReadonlySet<string> {
    const names = new Set(outer);
    if (clause.recursive === true)
      for (const node of clause.ctes ?? [])
        if ('CommonTableExpr' in node) names.add(node.CommonTableExpr.ctename ?? '');
    for (const node of clause.ctes ?? []) {
      if (!('CommonTableExpr' in node)) continue;
      if (!('SelectStmt' in (node.CommonTableExpr.ctequery ?? {})))
        throw nestedModifyingWith(node.CommonTableExpr.location);
      this.visit(node.CommonTableExpr.ctequery, names);
      names.add(node.CommonTableExpr.ctename ?? '');
    }
    return names;
  }

  #relation(relation: RangeVar, ctes: ReadonlySet<string>): void {
    if ((relation.schemaname ?? '') === '' && ctes.has(relation.relname ?? '')) return;
    const def = this.#feeds.get(relation)?.def ?? findTable(relation, this.#view);
    if (def !== undefined) this.arka.set(relation, def);
    else if (isCatalogRelation(relation, this.#view) || isSequence(relation, this.#view)) this.catalog.push(relation);
    else throw undefinedTable(relation);
  }
}

/** A sequence is a relation of one row, which PGlite has. */
function isSequence({ schemaname = '', relname = '' }: RangeVar, view: CatalogView): boolean {
  return view.sequence?.(schemaname === '' ? null : schemaname, relname) !== undefined;
}

/** The scans of a query, with a placeholder each. */
export function planTables(
  relations: Relations,
  placeholder: (relation: object) => string,
  positions: boolean,
): Map<object, PlannedTable> {
  const tables = new Map<object, PlannedTable>();
  for (const [relation, def] of relations.arka) {
    const feed = relations.feeds.get(relation)?.feed;
    tables.set(relation, {
      def,
      placeholder: placeholder(relation),
      positions,
      ...(feed === undefined ? {} : { feed }),
    });
  }
  return tables;
}

/** Views of pg_catalog about sessions and the server's work. */
const FILLED = /^(pg_stat_.*|pg_settings|pg_locks|pg_prepared_statements|pg_cursors)$/;

/** schema.name of the views that Arka fills, read by a catalog query. Unqualified names are PostgreSQL's own. */
export function viewsRead(relations: Relations, view: CatalogView): readonly string[] {
  const names = new Set<string>();
  for (const relation of relations.catalog) {
    const given = relation.schemaname ?? '';
    const name = relation.relname ?? '';
    const schema =
      given !== ''
        ? given
        : name.startsWith('pg_')
          ? 'pg_catalog'
          : (view.searchPath.find((one) => one === 'arka') ?? '');
    if (schema === 'arka' || (schema === 'pg_catalog' && FILLED.test(name))) names.add(`${schema}.${name}`);
  }
  return [...names];
}

/** The one table of `FROM t [AS a]`, when that is the whole FROM. */
export function onlyTable(select: SelectStmt): RangeVar | undefined {
  const [first, ...rest] = select.fromClause ?? [];
  if (first === undefined || rest.length > 0 || !('RangeVar' in first)) return undefined;
  return first.RangeVar;
}

export type SelectNode = Node & { readonly SelectStmt: SelectStmt };
