/** What the catalog's tests share: the image, a client, table definitions, and DataRow bytes as text. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CatalogClient, type CatalogClientOptions } from '../../src/catalog/catalog-client.ts';
import type { CatalogQuery, CatalogResult, SessionContext } from '../../src/catalog/catalog-api.ts';
import { systemClock } from '../../src/clock.ts';
import { unknownDef, type ColumnDef, type TableDef } from '../../src/table-def.ts';

export const context: SessionContext = { searchPath: ['public'], timeZone: 'UTC' };

/** Quick when the image is up to date. */
export function buildImage(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL('../../scripts/build-catalog-image.ts', import.meta.url))]);
}

export function openClient(options: Partial<CatalogClientOptions> = {}): CatalogClient {
  return new CatalogClient({ clock: systemClock, ...options });
}

export function column(
  name: string,
  attnum: number,
  oid: number,
  more: Partial<ColumnDef> & { readonly typmod?: number } = {},
): ColumnDef {
  const { typmod = -1, ...rest } = more;
  return { name, fieldId: attnum, attnum, type: { oid, typmod }, notNull: false, default: null, ...rest };
}

export function table(
  name: string,
  oid: number,
  columns: readonly ColumnDef[],
  more: Partial<TableDef> = {},
): TableDef {
  return {
    ...unknownDef(`uuid-${name}`, 'public', name),
    oid,
    columns,
    ...more,
  };
}

export function request(sql: string, more: Partial<CatalogQuery> = {}): CatalogQuery {
  return { sql, parameterOids: [], values: [], formats: [], resultFormats: [], context, views: [], ...more };
}

/** The values of DataRow messages in text format. */
export function rowsOf(result: CatalogResult): (string | null)[][] {
  const { messages } = result;
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  const rows: (string | null)[][] = [];
  for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) {
    if (messages[at] !== 0x44) throw new Error('not a DataRow');
    const row: (string | null)[] = [];
    let to = at + 7;
    for (let left = view.getInt16(at + 5); left > 0; left--) {
      const length = view.getInt32(to);
      to += 4;
      row.push(length < 0 ? null : new TextDecoder().decode(messages.subarray(to, to + length)));
      to += Math.max(length, 0);
    }
    rows.push(row);
  }
  return rows;
}

export async function rowsFor(
  client: CatalogClient,
  sql: string,
  more: Partial<CatalogQuery> = {},
): Promise<(string | null)[][]> {
  return rowsOf(await client.query(request(sql, more)));
}
