/**
 * Positions by whole rows, in tables without a key (C3): one join on all columns, NULL being equal to NULL.
 */
import type { Lease } from './connections.ts';
import type { LookupRequest, LookupResult } from './engine-api.ts';
import { collect, FILES_PER_STATEMENT, keySource, resultOf, type Found, type LookupContext } from './lookup.ts';
import { addSource } from './row-source.ts';
import { fromStored } from './stored-form.ts';
import { readParquet, unitOf } from './scan-sql.ts';

/** `keys` are all columns of the def. */
export async function lookupImages(
  lease: Lease,
  request: LookupRequest,
  context: LookupContext,
): Promise<LookupResult> {
  const { columns } = request.def;
  const found: Found = { rows: [], units: [], positions: [] };
  const files = request.files.filter((file) => file.rows > 0);
  if (request.rows > 0) {
    for (let at = 0; at < files.length; at += FILES_PER_STATEMENT) {
      const part = files.slice(at, at + FILES_PER_STATEMENT);
      const source = addSource(context.registry, keySource(columns, request.keys, request.rows, context.mode));
      context.sourceIds.push(source.id);
      const conditions = columns.map(
        (column, i) => `f.f${column.fieldId} IS NOT DISTINCT FROM ${fromStored(`k.c${i}`, column.type)}`,
      );
      await collect(
        lease,
        `SELECT k.c${columns.length} AS r, ${unitOf(part)} AS u, f.file_row_number AS p FROM ${readParquet(columns, part)} f JOIN ${source.sql} k ON ${conditions.join(' AND ')}`,
        found,
      );
    }
  }
  return resultOf(found);
}
