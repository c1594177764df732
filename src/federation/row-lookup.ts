/** Rows of a file by their positions: what was deleted from a file that is about to leave, by name. */
import { invariant } from '../errors.ts';
import type { RowsRead, RowsRequest } from '../storage/unit-engine.ts';
import { run, type Lease } from './connections.ts';
import { readParquet } from './scan-sql.ts';
import { toStored } from './stored-form.ts';
import { eachChunk } from './vector-reader.ts';

const POSITIONS_PER_STATEMENT = 5000;

export async function readRows(lease: Lease, { def, file, positions, fieldIds }: RowsRequest): Promise<RowsRead[]> {
  const columns = fieldIds.map((fieldId) => {
    const column = def.columns.find((candidate) => candidate.fieldId === fieldId);
    invariant(column !== undefined, 'a name is made of columns');
    return column;
  });
  const list = ['f.file_row_number', ...columns.map((column) => toStored(`f.f${column.fieldId}`, column.type))].join(
    ', ',
  );
  const read: RowsRead[] = [];
  const last = positions.length - 1;
  const isRange = last > 0 && positions[last]! - positions[0]! === last;
  const step = isRange ? positions.length : POSITIONS_PER_STATEMENT;
  for (let at = 0; at < positions.length; at += step) {
    const wanted = positions.subarray(at, at + step);
    const condition = isRange ? `BETWEEN ${wanted[0]!} AND ${wanted[last]!}` : `IN (${wanted.join(', ')})`;
    const sql = `SELECT ${list} FROM ${readParquet(columns, [file])} f WHERE f.file_row_number ${condition}`;
    await eachChunk(await run(lease, sql), ([position, ...vectors], rows) => {
      read.push({
        positions: Uint32Array.from({ length: rows }, (_, row) => position!.words[row * 2]!),
        vectors,
        rows,
      });
    });
  }
  return read;
}
