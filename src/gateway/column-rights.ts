/**
 * Rights on columns, where those on the table do not do: which columns a statement reads and writes PostgreSQL finds out, by its own rules
 * for stars, whole rows, joins and views. EXPLAIN looks at all rights and carries nothing out.
 */
import type { Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { denied } from '../rights/acl.ts';
import type { ParsedStatement, Statement } from '../planner/plan.ts';
import type { Interruption } from './interruption.ts';
import { isAllowed } from './permission.ts';
import { atStatement, catalogContext, type QueryEnvironment } from './query.ts';
import type { SessionAccess } from './session-access.ts';

const BEFORE = 'EXPLAIN ';

/** Asks for a statement of a session. @throws {SqlError} 42501, and whatever else PostgreSQL finds before it looks at rights */
export async function askRights(
  session: {
    readonly access: SessionAccess;
    readonly interruption: Interruption;
    queryEnvironment(): QueryEnvironment;
  },
  open: ParsedStatement,
  statement: Statement,
): Promise<void> {
  const environment = session.queryEnvironment();
  const { context, position } = environment;
  const query = {
    sql: BEFORE + textOf(open),
    parameterOids: [],
    values: Array.from({ length: open.parameterCount }, () => null),
    formats: [],
    resultFormats: [],
    context: catalogContext(environment),
    views: [],
  };
  await session.interruption.guarded(() => atStatement(position - BEFORE.length, context.catalog.query(query)));
  isAllowed(session.access, statement);
}

/** What is explained already, or copied, is a query of its own. */
function textOf({ node, text }: ParsedStatement): string {
  const tree = node as Node;
  if ('ExplainStmt' in tree) return Deparser.deparse(tree.ExplainStmt.query!);
  if (!('CopyStmt' in tree)) return text;
  const { attlist = [], is_from: isFrom, query, relation } = tree.CopyStmt;
  if (query !== undefined) return Deparser.deparse(query);
  if (relation === undefined || isFrom === true) throw denied('table', relation?.relname ?? '');
  const column = (fields: readonly Node[]): Node =>
    ({ ResTarget: { val: { ColumnRef: { fields: [...fields] } } } }) as Node;
  const targetList = attlist.length === 0 ? [column([{ A_Star: {} }])] : attlist.map((name) => column([name]));
  return Deparser.deparse({
    SelectStmt: {
      targetList,
      fromClause: [{ RangeVar: relation }],
      op: 'SETOP_NONE',
      limitOption: 'LIMIT_OPTION_DEFAULT',
    },
  });
}
