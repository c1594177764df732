/** Sizes and counts of tables for PostgreSQL inside, as settings of one transaction (see sql/35-relation-facts.sql). */
import type { RelationFacts } from './catalog-api.ts';
import { PERSISTENCE_SQL } from './mirror-temporary.ts';

const PAGE_BYTES = 8192;

/** SQL that comes before a statement that may ask. */
export function factsSql({ tables, bytes, inClass, persistence }: RelationFacts): readonly string[] {
  const settings = tables.map(
    ({ oid, live, dead, inserted, updated, deleted, bytes: size }): string =>
      `pg_catalog.set_config('arka_rows.r${oid}', '{${[live, dead, inserted, updated, deleted, size].join()}}', true)`,
  );
  const sql = [`SELECT pg_catalog.set_config('arka_rows.database', '${bytes}', true)`];
  if (persistence) sql.push(PERSISTENCE_SQL);
  // a row has at most 1,664 columns
  for (let start = 0; start < settings.length; start += 1000)
    sql.push(`SELECT ${settings.slice(start, start + 1000).join(', ')}`);
  if (!inClass || tables.length === 0) return sql;
  const rows = tables.map(({ oid, live, bytes: size }) => `(${oid}, ${live}, ${Math.ceil(size / PAGE_BYTES)})`);
  const update = `UPDATE pg_catalog.pg_class c SET reltuples = f.live, relpages = f.pages`;
  return [...sql, `${update} FROM (VALUES ${rows.join(', ')}) AS f(oid, live, pages) WHERE c.oid = f.oid`];
}
