/**
 * INSERT, UPDATE, DELETE and MERGE inside WITH. Each is planned as a statement of its own, with the plain queries of the WITH that it
 * reads; what it returns is a table to the parts that name it. So is a query that several parts read and that might not give all of them the same
 * rows (`unstable-queries.ts`): it runs once.
 */
import type { CommonTableExpr, Node, RangeVar, SelectStmt, WithClause } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { unknownDef, type TableDef } from '../table-def.ts';
import { at, stringsOf, walk } from './ast.ts';
import { planKept, type KeptColumns, type WithPart, type WithRows } from './kept-columns.ts';
import type { CatalogView, ParsedStatement, Statement } from './plan.ts';
import type { PlannerEnvironment } from './query-plan.ts';
import { findRelations, nestedModifyingWith, planTables } from './relations.ts';
import { targetTable } from './schema-names.ts';
import { inReadingOrder } from './with-order.ts';
import { stabilityOf, type Stability } from './unstable-queries.ts';

const WRITES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);

/** Plans a statement of which no WITH writes. */
export type PlanPart = (part: ParsedStatement, view: CatalogView, environment: PlannerEnvironment) => Statement;

interface Body {
  withClause?: WithClause;
  relation?: RangeVar;
}

const bodyOf = (node: Node): Body => Object.values(node)[0] as Body;
const writes = (node: Node | undefined): boolean => Object.keys(node ?? {}).some((tag) => WRITES.has(tag));

/** A part of its WITH writes. Cheap: asked of every statement. */
export function hasModifyingWith(node: Node): boolean {
  const { ctes } = bodyOf(node).withClause ?? {};
  return ctes?.some((each) => 'CommonTableExpr' in each && writes(each.CommonTableExpr.ctequery)) === true;
}

/** What a part returns, as others find it by its name. */
interface Returned {
  /** Null: it has no RETURNING. */
  readonly def: TableDef | null;
  readonly refused: string | null;
  readonly placeholders: string[];
}

/** @throws {SqlError} what is wrong with a part; 0A000 */
export function planModifyingWith(
  statement: ParsedStatement & { readonly node: Node },
  view: CatalogView,
  environment: PlannerEnvironment,
  planPart: PlanPart,
): Statement {
  return new Planner(statement, view, environment, planPart).plan();
}

class Planner {
  readonly #statement: ParsedStatement & { readonly node: Node };
  readonly #tables: CatalogView;
  /** With what parts return. */
  readonly #view: CatalogView;
  readonly #environment: PlannerEnvironment;
  readonly #planPart: PlanPart;
  /** Queries of the WITH so far, which a part may read. */
  readonly #queries = new Map<string, CommonTableExpr>();
  readonly #returned = new Map<string, Returned>();

  constructor(
    statement: ParsedStatement & { readonly node: Node },
    view: CatalogView,
    environment: PlannerEnvironment,
    planPart: PlanPart,
  ) {
    this.#statement = statement;
    this.#planPart = planPart;
    this.#tables = view;
    this.#view = {
      ...view,
      table: (schema, name) =>
        (schema === null ? this.#returned.get(name)?.def : undefined) ?? view.table(schema, name),
    };
    this.#environment = {
      ...environment,
      placeholder: (relation) => {
        const name = environment.placeholder(relation);
        const { schemaname = '', relname = '' } = (relation ?? {}) as RangeVar;
        if (schemaname === '') this.#returned.get(relname)?.placeholders.push(name);
        return name;
      },
    };
  }

  plan(): Statement {
    const { node, text } = this.#statement;
    const { ctes: named = [], recursive } = bodyOf(node).withClause!;
    const ctes = recursive === true ? inReadingOrder(named) : named;
    const parts: { readonly name: string; readonly statement: WithPart['statement'] }[] = [];
    const shared = sharedQueries(node);
    for (const each of ctes) {
      if (!('CommonTableExpr' in each)) continue;
      const cte = each.CommonTableExpr;
      const name = cte.ctename ?? '';
      if (this.#queries.has(name) || this.#returned.has(name))
        throw new SqlError(
          SqlState.duplicateAlias,
          `WITH query name "${name}" specified more than once`,
          at(cte.location),
        );
      if (!writes(cte.ctequery)) {
        const kept = this.#keptOnce(cte, recursive === true, shared.get(name) ?? 'stable');
        if (kept === null) {
          this.#queries.set(name, cte);
          continue;
        }
        parts.push({ name, statement: { kind: 'query', plan: kept.plan } });
        this.#returned.set(name, { ...keptAs(name, kept), placeholders: [] });
        continue;
      }
      const planned = this.#part(cte.ctequery!, recursive === true);
      parts.push({ name, statement: planned });
      this.#returned.set(name, returnedOf(name, planned, cte));
    }
    const main = this.#plan(node, recursive === true);
    if (main.kind !== 'query' && !isWrite(main))
      throw notSupported('a data-modifying statement in WITH of this statement');
    if (main.kind === 'query' && (main.plan.calls !== undefined || main.lock !== undefined))
      throw notSupported('a data-modifying statement in WITH of a query that locks rows or calls such functions');
    const known = parts.map((part) => ({ ...part, rows: this.#rowsOf(part.name) }));
    return {
      kind: 'with',
      before: known.filter(({ rows }) => rows !== null),
      after: known.filter(({ rows }) => rows === null).toReversed(),
      main,
      text,
    };
  }

  /** Null: it may run once for each part that reads it. Where only ties decide, it does so if its rows cannot be kept. */
  #keptOnce(cte: CommonTableExpr, recursive: boolean, stability: Stability): KeptColumns | null {
    if (stability === 'stable') return null;
    try {
      const kept = this.#kept(cte, recursive);
      return stability === 'chance' || kept.refused === null ? kept : null;
    } catch (error) {
      if (stability === 'ties' && error instanceof SqlError && error.code === SqlState.featureNotSupported) return null;
      throw error;
    }
  }

  /** The rows of a query that runs once. */
  #kept(cte: CommonTableExpr, recursive: boolean): KeptColumns {
    const { parameterOids, placeholder } = this.#environment;
    const ctes = [...this.#neededBy(cte.ctequery!), cte].map((each): Node => ({ CommonTableExpr: each }));
    const select = {
      targetList: [{ ResTarget: { val: { ColumnRef: { fields: [{ A_Star: {} }] } } } }],
      fromClause: [{ RangeVar: { relname: cte.ctename, inh: true, relpersistence: 'p' } }],
      withClause: { ctes, recursive, location: -1 },
    } as unknown as SelectStmt;
    const tables = planTables(findRelations({ SelectStmt: select }, this.#view), placeholder, false);
    return planKept(select, tables, parameterOids);
  }

  #part(query: Node, recursive: boolean): WriteStatement {
    const planned = this.#plan(query, recursive);
    if (!isWrite(planned)) throw notSupported('this statement in WITH');
    return planned;
  }

  /** Null: nobody reads them. */
  #rowsOf(name: string): WithRows | null {
    const { def, refused, placeholders } = this.#returned.get(name)!;
    return def === null || placeholders.length === 0 ? null : { def, refused, placeholders };
  }

  #plan(node: Node, recursive: boolean): Statement {
    const [tag = ''] = Object.keys(node);
    const body = bodyOf(node);
    const { relation, withClause } = body;
    // Of the whole statement its own WITH is the one that was taken apart.
    const own = node === this.#statement.node ? undefined : withClause;
    if (own !== undefined && hasModifyingWith(node)) throw nestedModifyingWith(own.location);
    const needed = this.#neededBy({ ...body, withClause: own });
    const ctes = [...needed.map((cte): Node => ({ CommonTableExpr: cte })), ...(own?.ctes ?? [])];
    const { withClause: _, ...free } = body;
    const joined = {
      ...free,
      ...(WRITES.has(tag) && relation !== undefined ? { relation: this.#target(relation) } : {}),
      ...(ctes.length === 0
        ? {}
        : { withClause: { ...own, ctes, recursive: recursive || own?.recursive === true, location: -1 } }),
    };
    const alone = { [tag]: joined } as unknown as Node;
    const { parameterCount, position } = this.#statement;
    const text = Deparser.deparse(alone);
    return this.#planPart({ text, node: alone, parameterCount, position }, this.#view, this.#environment);
  }

  /** A name of the WITH is no table that can be written: the target is a table of that name. */
  #target(relation: RangeVar): RangeVar {
    const { schemaname = '', relname = '' } = relation;
    if (schemaname !== '' || !this.#returned.has(relname)) return relation;
    return { ...relation, schemaname: targetTable(relation, this.#tables, 'write').schema };
  }

  /** Queries of the WITH that are read below `value`, in their order. */
  #neededBy(value: object): readonly CommonTableExpr[] {
    const names = new Set<string>();
    const visit = (below: unknown): void =>
      walk({ Below: below }, (tag, found) => {
        if (tag !== 'RangeVar') return;
        const { schemaname = '', relname = '', location } = found as RangeVar;
        if (schemaname !== '' || names.has(relname)) return;
        if (this.#returned.get(relname)?.def === null)
          throw new SqlError(
            SqlState.featureNotSupported,
            `WITH query "${relname}" does not have a RETURNING clause`,
            at(location),
          );
        const query = this.#queries.get(relname);
        if (query === undefined) return;
        names.add(relname);
        visit(query.ctequery);
      });
    visit(value);
    return [...this.#queries].filter(([name]) => names.has(name)).map(([, cte]) => cte);
  }
}

type WriteStatement = Exclude<WithPart['statement'], { kind: 'query' }>;

/** Queries of the WITH that several parts read. */
function sharedQueries(node: Node): ReadonlyMap<string, Stability> {
  const { withClause, ...main } = bodyOf(node);
  const ctes = withClause!.ctes!.flatMap((each) => ('CommonTableExpr' in each ? [each.CommonTableExpr] : []));
  const queries = new Map(ctes.filter((cte) => !writes(cte.ctequery)).map((cte) => [cte.ctename ?? '', cte.ctequery!]));
  const shared = new Map<string, Stability>();
  const seen = new Set<string>();
  for (const part of [...ctes.filter((cte) => writes(cte.ctequery)).map((cte) => cte.ctequery!), main]) {
    const read = new Set<string>();
    const visit = (below: object): void =>
      walk({ Below: below }, (tag, found) => {
        const { schemaname = '', relname = '' } = found as RangeVar;
        const query = tag === 'RangeVar' && schemaname === '' && !read.has(relname) ? queries.get(relname) : undefined;
        if (query === undefined) return;
        read.add(relname);
        visit(query);
      });
    visit(part);
    for (const name of read) {
      if (seen.has(name)) shared.set(name, stabilityOf(queries.get(name)!));
      seen.add(name);
    }
  }
  return shared;
}

function isWrite(statement: Statement): statement is WriteStatement {
  return ['insert', 'update', 'delete', 'merge'].includes(statement.kind);
}

/** As a table. */
function keptAs(
  name: string,
  { columns, refused }: KeptColumns,
): { readonly def: TableDef; readonly refused: string | null } {
  return { def: { ...unknownDef('', '', name), columns }, refused };
}

function returnedOf(name: string, { returning }: WriteStatement, cte: CommonTableExpr): Returned {
  if (returning === null) return { def: null, refused: null, placeholders: [] };
  const kept = returning.kept();
  const names = stringsOf(cte.aliascolnames);
  const columns = kept.columns.map((column, i) => ({ ...column, name: names[i] ?? column.name }));
  return { ...keptAs(name, { ...kept, columns }), placeholders: [] };
}
