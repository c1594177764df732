/** What the index asks of who can read Parquet files: stated here because storage imports no engine. */
import type { TableDef } from '../../table-def.ts';
import type { ColumnVector } from '../../types/column-vector.ts';

export interface KeyReader {
  /**
   * Calls back with the key columns, in key order, of rows [from, to) of a file, some at a time, and the position of each;
   * waits for what the callback returns.
   */
  readKeys(
    def: TableDef,
    file: { readonly path: string; readonly rows: number },
    from: number,
    to: number,
    visit: (keys: readonly ColumnVector[], positions: Int32Array, rows: number) => Promise<void> | void,
  ): Promise<void>;
}
