/**
 * Views in a query: each becomes the subquery that it stands for, before anything else looks at names. So all ways of reading
 * (memory, disk, Iceberg, their merges) are those of its tables, and conditions reach them.
 *
 * - V1 PostgreSQL, which has the views, describes the statement as it was written: types and names are the view's own.
 * - V2 A view's text has its names in full (view-def.ts), so neither search_path nor WITH of the statement changes what it means.
 * - V3 Of a view with security_barrier, expressions of the statement see no row that the view leaves out: a cast that fails would
 *   say what is in it.
 */
import type { ColumnRef, Node, RangeVar, WithClause } from 'libpg-query';
import { isOn, type ViewDef } from '../view-def.ts';
import { stringsOf } from './ast.ts';
import { parseSql } from './parse.ts';
import type { CatalogView, ParsedStatement } from './plan.ts';
import { findView } from './schema-names.ts';

/** The statement with its views replaced; the same one when it has none. */
export function expandViews(statement: ParsedStatement, view: CatalogView): ParsedStatement {
  if (view.view === undefined) return statement;
  const finder = new Expansion(view);
  if (!finder.mentions(statement.node)) return statement;
  return { ...statement, node: finder.expand(structuredClone(statement.node), new Set()) };
}

const parsedQueries = new WeakMap<ViewDef, Node>();

/** A view's query, a tree of its own each time; its places in the text are nobody's. */
export function viewQuery(def: ViewDef): Node {
  let node = parsedQueries.get(def);
  if (node === undefined) {
    node = structuredClone(parseSql(def.sql)[0]!.node as Node);
    dropLocations(node);
    parsedQueries.set(def, node);
  }
  return structuredClone(node);
}

function dropLocations(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const record = value as Record<string, unknown>;
  for (const key in record) {
    if (key === 'location' && typeof record[key] === 'number') record[key] = -1;
    else dropLocations(record[key]);
  }
}

/** V3: DuckDB moves no condition below an OFFSET. */
function fenced(query: Node): Node {
  const star = { ResTarget: { val: { ColumnRef: { fields: [{ A_Star: {} }] } } } };
  const from = { RangeSubselect: { subquery: query, alias: { aliasname: 'rows' } } };
  return {
    SelectStmt: {
      targetList: [star],
      fromClause: [from],
      limitOffset: { A_Const: { ival: {} } },
      limitOption: 'LIMIT_OPTION_COUNT',
      op: 'SETOP_NONE',
    },
  };
}

class Expansion {
  readonly #view: CatalogView;

  constructor(view: CatalogView) {
    this.#view = view;
  }

  /** Whether a RangeVar names a view; one that WITH hides is looked at again by `expand`. */
  mentions(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false;
    if (Array.isArray(value)) return value.some((each) => this.mentions(each));
    const record = value as Record<string, unknown>;
    for (const key in record) {
      if (key === 'lockingClause') continue;
      if (key === 'RangeVar' && findView(record[key] as RangeVar, this.#view) !== undefined) return true;
      if (this.mentions(record[key])) return true;
    }
    return false;
  }

  expand(value: unknown, ctes: ReadonlySet<string>): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((each) => this.expand(each, ctes));
    const record = value as Record<string, unknown>;
    if ('RangeVar' in record) return this.#relation(record['RangeVar'] as RangeVar, ctes) ?? record;
    if ('ColumnRef' in record) this.#column(record['ColumnRef'] as ColumnRef);
    const inner = record['withClause'] === undefined ? ctes : this.#with(record['withClause'] as WithClause, ctes);
    for (const key in record)
      if (key !== 'withClause' && key !== 'lockingClause') record[key] = this.expand(record[key], inner);
    return record;
  }

  /** A subquery has no schema: `s.v.a` is `v.a`. */
  #column({ fields = [] }: ColumnRef): void {
    if (fields.length < 3) return;
    const [schemaname = '', relname = ''] = stringsOf(fields);
    if (findView({ schemaname, relname }, this.#view) !== undefined) fields.shift();
  }

  #with(clause: WithClause, outer: ReadonlySet<string>): ReadonlySet<string> {
    const names = new Set(outer);
    const all = (clause.ctes ?? []).flatMap((node) => ('CommonTableExpr' in node ? [node.CommonTableExpr] : []));
    if (clause.recursive === true) for (const { ctename } of all) names.add(ctename ?? '');
    for (const each of all) {
      each.ctequery = this.expand(each.ctequery, names) as Node;
      names.add(each.ctename ?? '');
    }
    return names;
  }

  #relation(relation: RangeVar, ctes: ReadonlySet<string>): unknown {
    if ((relation.schemaname ?? '') === '' && ctes.has(relation.relname ?? '')) return undefined;
    const def = findView(relation, this.#view);
    if (def === undefined) return undefined;
    const { aliasname = def.name, colnames } = relation.alias ?? {};
    const expanded = this.expand(viewQuery(def), new Set()) as Node;
    const query = isOn(def, 'security_barrier') ? fenced(expanded) : expanded;
    return {
      RangeSubselect: { subquery: query, alias: { aliasname, ...(colnames === undefined ? {} : { colnames }) } },
    };
  }
}
