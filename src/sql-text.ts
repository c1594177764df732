/** Names and texts inside SQL that Arka writes, for PostgreSQL and DuckDB alike: both double the quote. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
