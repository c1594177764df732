/**
 * Views in PGlite: their DDL under Arka's OIDs, and which of them must go and come back because something below them does.
 */
import { quoteIdentifier } from '../sql-text.ts';
import { viewCommentsSql } from './mirror-comments.ts';
import { inOrder, viewsOn, type ViewDef } from '../view-def.ts';

export interface ViewSteps {
  readonly dropViews: readonly ViewDef[];
  readonly createViews: readonly ViewDef[];
}

/** @param gone OIDs of tables and sequences that are dropped, some of them to be made anew */
export function viewSteps(now: readonly ViewDef[], wanted: readonly ViewDef[], gone: readonly number[]): ViewSteps {
  const byOid = new Map(wanted.map((view) => [view.oid, view]));
  const changed = now.filter((view) => !isSame(view, byOid.get(view.oid)));
  const dropped = new Set([...changed, ...viewsOn(now, [...gone, ...changed.map(({ oid }) => oid)])]);
  const kept = new Set(now.filter((view) => !dropped.has(view)).map(({ oid }) => oid));
  return {
    dropViews: inOrder([...dropped]).toReversed(),
    createViews: inOrder(wanted.filter(({ oid }) => !kept.has(oid))),
  };
}

function isSame(view: ViewDef, other: ViewDef | undefined): boolean {
  return view === other || JSON.stringify(view) === JSON.stringify(other);
}

const nameSql = ({ schema, name }: ViewDef): string => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

/** It may have gone with what it reads. */
export function dropViewSql(view: ViewDef): string {
  return `DROP VIEW IF EXISTS ${nameSql(view)} CASCADE`;
}

export function createViewSql(view: ViewDef): string {
  const options = view.options.length === 0 ? '' : ` WITH (${view.options.join(', ')})`;
  const create = `CREATE VIEW ${nameSql(view)}${options} AS ${view.sql}`;
  return [viewOidsSql(view.oid), create, ...viewCommentsSql(view)].join(';\n');
}

/** The OIDs that the next view gets. */
export function viewOidsSql(oid: number): string {
  const set = (what: string, value: number): string => `pg_catalog.binary_upgrade_set_next_${what}_inside('${value}')`;
  return `SELECT ${set('heap_pg_class_oid', oid)}, ${set('pg_type_oid', oid + 1)}, ${set('array_pg_type_oid', oid + 2)}`;
}
