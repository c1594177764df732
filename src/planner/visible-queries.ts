/** WITH in front of INSERT, for subqueries that stand elsewhere in the statement: each sees its queries as its own. */
import type { InsertStmt, Node, SelectStmt, WithClause } from 'libpg-query';

/** The queries of both; an inner one hides another of its name. */
export function joinedWith(outer: WithClause, own: WithClause | undefined): WithClause {
  const nameOf = (node: Node): string => ('CommonTableExpr' in node ? (node.CommonTableExpr.ctename ?? '') : '');
  const inner = own?.ctes ?? [];
  const hidden = new Set(inner.map(nameOf));
  return {
    ...outer,
    ctes: [...(outer.ctes ?? []).filter((node) => !hidden.has(nameOf(node))), ...inner],
    recursive: outer.recursive === true || own?.recursive === true,
  };
}

/** RETURNING and ON CONFLICT see them; the rows have them in their own way. */
export function withVisibleQueries(statement: InsertStmt): InsertStmt {
  const { onConflictClause, returningClause, withClause } = statement;
  if (withClause === undefined) return statement;
  return {
    ...statement,
    ...(onConflictClause === undefined ? {} : { onConflictClause: seeing(onConflictClause, withClause) }),
    ...(returningClause === undefined ? {} : { returningClause: seeing(returningClause, withClause) }),
  };
}

function seeing<T>(value: T, clause: WithClause): T {
  if (Array.isArray(value)) return value.map((each: unknown) => seeing(each, clause)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]: [string, unknown]) => {
    const isQuery = key === 'subselect' && typeof inner === 'object' && inner !== null && 'SelectStmt' in inner;
    if (!isQuery) return [key, seeing(inner, clause)];
    const select = inner.SelectStmt as SelectStmt;
    return [key, { SelectStmt: { ...select, withClause: joinedWith(clause, select.withClause) } }];
  });
  return Object.fromEntries(entries) as T;
}
