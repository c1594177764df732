/**
 * CREATE VIEW of what is temporary: said to be, or for what it reads, as PostgreSQL has it. It is made like any other, in the session's
 * schema: its text names that.
 */
import type { RangeVar, SelectStmt, ViewStmt, WithClause } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { isTemporarySchema } from '../table-def.ts';
import type { CatalogView } from './plan.ts';
import { findTable, findView } from './schema-names.ts';

export interface TemporaryView {
  readonly schema: string;
  readonly name: string;
  /** Only what it reads makes it temporary. */
  readonly byItself: boolean;
  /** By how much its text has become longer before the query; null: it has become another. */
  readonly longer: number | null;
}

const SPACE = String.raw`(?:\s|--[^\n]*\n|/\*.*?\*/)`;
const NAME = String.raw`(?:"(?:[^"]|"")*"|[^\s(".]+)`;
const HEAD = new RegExp(
  String.raw`^${SPACE}*create${SPACE}+(or${SPACE}+replace${SPACE}+)?((?:global|local)${SPACE}+)?(temp(?:orary)?${SPACE}+)?(recursive${SPACE}+)?view${SPACE}+(?:${NAME}${SPACE}*\.${SPACE}*)?${NAME}`,
  'is',
);

/** What is carried out. @throws {SqlError} 42P16 for a schema that is not temporary */
export function temporaryView(
  statement: ViewStmt,
  text: string,
  made: string,
  view: CatalogView,
): { readonly sql: string; readonly temporary?: TemporaryView } {
  const relation = statement.view ?? {};
  const isSaid = isTemporarySchema(made);
  if (!isSaid && !readsTemporary(statement.query, view, new Set())) return { sql: text };
  const schema = isSaid ? made : view.temporarySchema!;
  if (!isSaid && (relation.schemaname ?? '') !== '')
    throw new SqlError(SqlState.invalidTableDefinition, 'cannot create temporary relation in non-temporary schema');
  const { relname: name = '' } = relation;
  const temporary = { schema, name, byItself: !isSaid };
  const head = HEAD.exec(text);
  if (head === null) {
    const named = { ...relation, schemaname: schema, relpersistence: 'p' };
    return {
      sql: Deparser.deparse({ ViewStmt: { ...statement, view: named } }),
      temporary: { ...temporary, longer: null },
    };
  }
  const [before, replaces, , , recursive] = head;
  const words = [
    'CREATE',
    replaces === undefined ? '' : 'OR REPLACE',
    recursive === undefined ? '' : 'RECURSIVE',
    'VIEW',
  ];
  const now = `${words.filter((word) => word !== '').join(' ')} ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
  const longer = [...now].length - [...before].length;
  return { sql: now + text.slice(before.length), temporary: { ...temporary, longer } };
}

/** Whether a query names something temporary that no WITH hides. */
function readsTemporary(value: unknown, view: CatalogView, hidden: ReadonlySet<string>): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some((each) => readsTemporary(each, view, hidden));
  const record = value as Record<string, unknown>;
  const clause = (record as SelectStmt).withClause;
  let inner = hidden;
  if (clause !== undefined) {
    const names = namesOf(clause);
    if (partsReadTemporary(clause, view, hidden)) return true;
    inner = new Set([...hidden, ...names]);
  }
  for (const key in record) {
    if (key === 'withClause') continue;
    if (
      key === 'RangeVar' ? isTemporary(record[key] as RangeVar, view, inner) : readsTemporary(record[key], view, inner)
    )
      return true;
  }
  return false;
}

const namesOf = ({ ctes = [] }: WithClause): string[] =>
  ctes.flatMap((node) => ('CommonTableExpr' in node ? [node.CommonTableExpr.ctename ?? ''] : []));

/** Each part sees those before it; with RECURSIVE all. */
function partsReadTemporary(clause: WithClause, view: CatalogView, hidden: ReadonlySet<string>): boolean {
  const seen = new Set(clause.recursive === true ? [...hidden, ...namesOf(clause)] : hidden);
  for (const node of clause.ctes ?? []) {
    if (readsTemporary(node, view, seen)) return true;
    if ('CommonTableExpr' in node) seen.add(node.CommonTableExpr.ctename ?? '');
  }
  return false;
}

function isTemporary(relation: RangeVar, view: CatalogView, hidden: ReadonlySet<string>): boolean {
  const { relname = '', schemaname = '' } = relation;
  if (schemaname === '' && hidden.has(relname)) return false;
  const found =
    findTable(relation, view) ??
    findView(relation, view) ??
    view.sequence?.(schemaname === '' ? null : schemaname, relname);
  return found !== undefined && isTemporarySchema(found.schema);
}
