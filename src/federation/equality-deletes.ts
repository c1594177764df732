/**
 * The rows that another writer has deleted by values (H14): one semi-join of the data files' columns with those of the delete
 * files. Of equal values in several delete files only the newest counts: it deletes what all of them do.
 */
import { invariant } from '../errors.ts';
import type { EqualityRequest, SequencedFile } from '../storage/unit-engine.ts';
import { run, type Lease } from './connections.ts';
import { FILES_PER_STATEMENT } from './lookup.ts';
import { readParquet, unitOf } from './scan-sql.ts';
import { eachChunk } from './vector-reader.ts';

export async function equalityPositions(
  lease: Lease,
  request: EqualityRequest,
): Promise<ReadonlyMap<number, Uint32Array>> {
  const lists = new Map<number, number[]>();
  for (const files of chunks(request.files.filter(({ rows }) => rows > 0)))
    for (const deleteFiles of chunks(request.deleteFiles))
      await eachChunk(await run(lease, sqlOf({ ...request, files, deleteFiles })), ([units, positions], rows) => {
        for (let i = 0; i < rows; i++) {
          const unit = units!.words[i]!;
          const position = positions!.words[i * 2]!;
          const list = lists.get(unit);
          if (list === undefined) lists.set(unit, [position]);
          else list.push(position);
        }
      });
  return new Map(Array.from(lists, ([unit, list]) => [unit, Uint32Array.from(new Set(list)).sort()]));
}

function* chunks(files: readonly SequencedFile[]): Generator<readonly SequencedFile[]> {
  for (let at = 0; at < files.length; at += FILES_PER_STATEMENT) yield files.slice(at, at + FILES_PER_STATEMENT);
}

function sqlOf({ def, fieldIds, files, deleteFiles }: EqualityRequest): string {
  const columns = fieldIds.map((fieldId) => {
    const column = def.columns.find((candidate) => candidate.fieldId === fieldId);
    invariant(column !== undefined, 'equality deletes are by columns of the table');
    return column;
  });
  const names = fieldIds.map((id) => `f.f${id}`).join(', ');
  const deleted = `SELECT ${names}, max(${sequenceOf(deleteFiles)}) AS s FROM ${readParquet(columns, deleteFiles)} f GROUP BY ${names}`;
  // A join for `=` skips row groups by the range of the deletes.
  const equal = columns.map(
    ({ fieldId, notNull }) => `f.f${fieldId} ${notNull ? '=' : 'IS NOT DISTINCT FROM'} d.f${fieldId}`,
  );
  return `SELECT ${unitOf(files)} AS u, f.file_row_number AS p FROM ${readParquet(columns, files)} f JOIN (${deleted}) d ON ${equal.join(' AND ')} AND ${sequenceOf(files)} < d.s`;
}

/** The data sequence number of a row of the files, as `f`. */
function sequenceOf(files: readonly SequencedFile[]): string {
  if (files.length === 1) return `${files[0]!.sequence}::BIGINT`;
  return `list_extract([${files.map(({ sequence }) => sequence).join(', ')}]::BIGINT[], f.file_index::BIGINT + 1)`;
}
