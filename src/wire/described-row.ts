/**
 * The RowDescription of a prepared statement's portals: libpq asks for it after each Bind, and from the second time on gets the bytes of
 * the last. Most statements are described once: nothing is kept for them.
 */
import type { ByteWriter } from '../types/byte-writer.ts';
import { sameFormats, type Format, type ResultColumn } from '../types/result-column.ts';
import { rowDescription } from './backend-messages.ts';

/** Longer ones are written anew each time. */
const KEPT_BYTES_MAX = 4096;

export class DescribedRow {
  #columns: readonly ResultColumn[] | null = null;
  #formats: readonly Format[] = [];
  #bytes: Uint8Array | null = null;

  write(out: ByteWriter, columns: readonly ResultColumn[], formats: readonly Format[]): void {
    const isKnown = columns === this.#columns && sameFormats(formats, this.#formats);
    if (isKnown && this.#bytes !== null) return out.raw(this.#bytes);
    const start = out.length;
    rowDescription(out, columns, formats);
    this.#bytes = isKnown && out.length - start <= KEPT_BYTES_MAX ? out.bytes.slice(start, out.length) : null;
    this.#columns = columns;
    this.#formats = formats;
  }
}
