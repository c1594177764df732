/**
 * Names and texts inside SQL that Arka writes, for PostgreSQL and DuckDB alike: both double the quote.
 *
 * - Q1 What stands for something is replaced where it is a name: the same characters in a client's literal stay a literal.
 */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A literal (of one with a doubled quote a part), a quoted name, a word. */
const TOKENS = /'[^']*'|"((?:[^"]|"")*)"|\b[a-z_]\w*/gi;

/** Q1. @param replacement what a name stands for; undefined: it stays */
export function replaceNames(
  sql: string,
  replacement: (name: string, isQuoted: boolean) => string | undefined,
): string {
  return sql.replaceAll(TOKENS, (token, quoted: string | undefined) => {
    if (token.startsWith("'")) return token;
    return replacement(quoted ?? token, quoted !== undefined) ?? token;
  });
}
