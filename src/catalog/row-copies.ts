/**
 * Rows of Arka's tables in PGlite, for as long as one statement runs: the last resort of what the engine has no way for.
 *
 * - C1 Copies are made inside the request's transaction, which is rolled back; then their pages are given back, so that the
 *   mirror does not grow with what was read.
 */
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import type { RowCopies } from './catalog-api.ts';
import type { PgliteSession } from './pglite-session.ts';

const HEADER_BYTES = 5;
const TAB = 9;
const NEWLINE = 10;
const ZERO = 48;

export async function copyRowsIn(session: PgliteSession, copies: RowCopies): Promise<void> {
  const lines = linesByTable(copies);
  for (const [i, def] of copies.tables.entries()) {
    if (lines[i]!.length === 0) continue;
    await session.give(new Blob(lines[i]!));
    const columns = def.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
    const generated = def.columns.filter((column) => column.generated !== undefined);
    await session.run(
      [
        ...(generated.length === 0 ? [] : [generatedSql(def, generated, '')]),
        `COPY ${tableName(def)} (${columns}) FROM '/dev/blob'`,
        ...(generated.length === 0 ? [] : [generatedSql(def, generated, 's')]),
      ].join('; '),
    );
  }
  await session.give(null);
}

/** COPY takes no values for generated columns: here they are as they were stored. */
function generatedSql({ oid }: TableDef, columns: readonly ColumnDef[], kind: '' | 's'): string {
  const numbers = columns.map(({ attnum }) => attnum).join(', ');
  return `UPDATE pg_catalog.pg_attribute SET attgenerated = '${kind}' WHERE attrelid = ${oid} AND attnum IN (${numbers})`;
}

/** After the transaction. */
export async function forgetRows(session: PgliteSession, { tables }: RowCopies): Promise<void> {
  await session.run(`VACUUM (SKIP_DATABASE_STATS, INDEX_CLEANUP ON) ${tables.map(tableName).join(', ')}`);
}

function tableName({ schema, name }: TableDef): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** The lines of each table, of its own columns alone. Values hold neither tab nor newline: COPY writes these as escapes. */
function linesByTable({ tables, chunks }: RowCopies): Uint8Array<ArrayBuffer>[][] {
  const before: number[] = [];
  let columns = 0;
  for (const def of tables) {
    before.push(columns);
    columns += def.columns.length;
  }
  const found = tables.map((): Uint8Array<ArrayBuffer>[] => []);
  for (const chunk of chunks) {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // A table's lines are no longer than the messages that they came in, and written over them.
    let start = 0;
    let to = 0;
    let last = -1;
    for (let at = 0; at < chunk.length;) {
      const end = at + 1 + view.getInt32(at + 1);
      let from = at + HEADER_BYTES;
      let table = 0;
      while (chunk[from] !== TAB) table = table * 10 + chunk[from++]! - ZERO;
      from++;
      if (table !== last) {
        if (to > start) found[last]!.push(chunk.subarray(start, to));
        start = to;
        last = table;
      }
      for (let skip = before[table]!; skip > 0; skip--) from = chunk.indexOf(TAB, from) + 1;
      let stop = end - 1;
      if (table < tables.length - 1) {
        stop = from;
        for (let left = tables[table]!.columns.length; ; stop++) if (chunk[stop] === TAB && --left === 0) break;
      }
      chunk.copyWithin(to, from, stop);
      to += stop - from;
      chunk[to++] = NEWLINE;
      at = end;
    }
    if (to > start) found[last]!.push(chunk.subarray(start, to));
  }
  return found;
}
