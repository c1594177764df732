/** Where the column chunks of a Parquet file lie, by its footer alone. */
import { quoteLiteral } from '../sql-text.ts';
import type { RowGroups } from '../storage/index/index-api.ts';
import { wordsToNumber } from '../types/decimal-digits.ts';
import { run, withLease, type Instance } from './connections.ts';
import { eachChunk } from './vector-reader.ts';

/** @throws {SqlError} XX001, 58030 */
export async function rowGroups(instance: Instance, path: string): Promise<RowGroups> {
  const file = quoteLiteral(path);
  // An array's values are two levels below its column; their own field id is not that of a column.
  const columns = `(SELECT field_id, CASE WHEN converted_type = 'LIST' THEN name || ', list, element' ELSE name END AS path
    FROM parquet_schema(${file}) QUALIFY lag(converted_type, 2, '') OVER (ORDER BY column_id) IS DISTINCT FROM 'LIST')`;
  // A dictionary comes before the data pages of its chunk; 0 or nothing says that there is none.
  const sql = `SELECT m.row_group_id::BIGINT, m.row_group_num_rows::BIGINT, s.field_id::BIGINT,
      CASE WHEN m.dictionary_page_offset > 0 AND m.dictionary_page_offset < m.data_page_offset THEN m.dictionary_page_offset ELSE m.data_page_offset END::BIGINT,
      m.total_compressed_size::BIGINT
    FROM parquet_metadata(${file}) m JOIN ${columns} s ON m.path_in_schema = s.path
    WHERE s.field_id IS NOT NULL ORDER BY m.row_group_id, m.column_id`;
  return await withLease(instance, async (lease) => {
    const rows: number[] = [];
    const fieldIds: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    await eachChunk(await run(lease, sql), (vectors, count) => {
      const at = (column: number, row: number): number =>
        wordsToNumber(vectors[column]!.words[row * 2]!, vectors[column]!.words[row * 2 + 1]!);
      for (let row = 0; row < count; row++) {
        if (at(0, row) === rows.length) rows.push(at(1, row));
        if (rows.length === 1) fieldIds.push(at(2, row));
        starts.push(at(3, row));
        ends.push(at(3, row) + at(4, row));
      }
    });
    return { rows, fieldIds, starts, ends };
  });
}
