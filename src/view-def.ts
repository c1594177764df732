/**
 * A view as every layer sees it: plain data that crosses threads and lives, as JSON, in the catalog's properties of its schema.
 *
 * - V1 `sql` is PostgreSQL's own text of the query (pg_get_viewdef with an empty search_path): names are qualified, stars are
 *   columns, so it means the same whoever reads it. A rename of what it reads makes another text.
 * - V2 What it depends on is named by OID and column number, which are Arka's and never another's.
 */
import type { PgType } from './table-def.ts';

export interface ViewDef {
  /** Given out by Arka, as those of tables: a block, of which +1 is the row type and +2 its array type. */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly sql: string;
  readonly columns: readonly ViewColumn[];
  readonly dependsOn: readonly ViewDependency[];
  /** As pg_class.reloptions has them, in the client's own spelling: `security_barrier=true`, `security_barrier=on`. */
  readonly options: readonly string[];
  readonly comment: string | null;
}

export interface ViewColumn {
  readonly name: string;
  readonly type: PgType;
  readonly comment: string | null;
}

/** Tables, views and sequences of users. `columns`: numbers, 0 for the whole. */
export interface ViewDependency {
  readonly oid: number;
  readonly columns: readonly number[];
}

/** Whether an option is on, in any spelling that PostgreSQL takes for true. */
export const isOn = ({ options }: ViewDef, name: 'security_barrier' | 'security_invoker'): boolean =>
  options.some((each) => {
    const [key, value = ''] = each.split('=');
    return key === name && /^(?:t|tr|tru|true|y|ye|yes|on|1)$/i.test(value);
  });

export const viewKey = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `${schema}\u0000${name}`;

/** What depends on one of the OIDs, directly or through other views. */
export function viewsOn(views: Iterable<ViewDef>, oids: Iterable<number>): ViewDef[] {
  const all = [...views];
  const reached = new Set(oids);
  const found = new Set<ViewDef>();
  for (let grown = true; grown;) {
    grown = false;
    for (const view of all) {
      if (found.has(view) || !view.dependsOn.some(({ oid }) => reached.has(oid))) continue;
      found.add(view);
      reached.add(view.oid);
      grown = true;
    }
  }
  return [...found];
}

/** Each view after those that it reads. */
export function inOrder(views: readonly ViewDef[]): ViewDef[] {
  const byOid = new Map(views.map((view) => [view.oid, view]));
  const ordered = new Set<ViewDef>();
  const visit = (view: ViewDef, above: ReadonlySet<number>): void => {
    if (ordered.has(view) || above.has(view.oid)) return;
    for (const { oid } of view.dependsOn) {
      const below = byOid.get(oid);
      if (below !== undefined) visit(below, new Set([...above, view.oid]));
    }
    ordered.add(view);
  };
  for (const view of views) visit(view, new Set());
  return [...ordered];
}
