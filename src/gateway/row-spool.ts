/**
 * Rows that a cursor has read and may be asked for again: a little in memory, what is more in a file of the engine's thread.
 *
 * - S1 Memory holds at most `MEMORY_BYTES` of rows, and one piece of the file.
 * - S2 A row is in one piece; pieces follow one another without a gap, from row 0.
 */
import type { EngineApi } from '../federation/engine-api.ts';
import type { Remote } from '../rpc.ts';
import type { GrowingRoom } from '../storage/disk/growing-room.ts';
import type { ServerContext } from './context.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';

export const MEMORY_BYTES = 256 * 1024;

/** Where rows go that are too many for memory. */
export interface SpoolFiles {
  readonly engine: Pick<Remote<EngineApi>, 'spoolWrite' | 'spoolRead' | 'spoolClose'>;
  /** On the disk (D6 in storage/disk/disk-cache.ts). */
  readonly room: () => GrowingRoom;
}

export function spoolFilesOf({ engine, database: { disk } }: Pick<ServerContext, 'engine' | 'database'>): SpoolFiles {
  return { engine, room: () => disk.growing('Rows of a cursor that are put aside') };
}

interface Piece {
  readonly first: number;
  readonly rows: number;
  /** Null: in the file. */
  bytes: Uint8Array | null;
  readonly offset: number;
  readonly length: number;
}

interface ReadPiece {
  readonly piece: Piece;
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
}

let nextSpool = 1;

export class RowSpool {
  rows = 0;
  readonly #files: SpoolFiles;
  readonly #pieces: Piece[] = [];
  #file = 0;
  #room: GrowingRoom | null = null;
  #length = 0;
  #inMemory = 0;
  /** The piece that was read last, and where its rows begin. */
  #read: ReadPiece | null = null;

  constructor(files: SpoolFiles) {
    this.#files = files;
  }

  get heldBytes(): number {
    return this.#inMemory + (this.#read?.bytes.length ?? 0);
  }

  /** Takes DataRow messages; they are copied before it returns. */
  append(messages: Uint8Array, rows: number): MaybePromise<void> {
    if (rows === 0) return undefined;
    const bytes = new Uint8Array(messages);
    this.#pieces.push({ first: this.rows, rows, bytes, offset: this.#length, length: bytes.length });
    this.rows += rows;
    this.#length += bytes.length;
    this.#inMemory += bytes.length;
    return this.#inMemory > MEMORY_BYTES ? this.#spill() : undefined;
  }

  async #spill(): Promise<void> {
    const room = (this.#room ??= this.#files.room());
    const growing = room.need(this.#inMemory);
    if (growing !== undefined) await growing;
    this.#file ||= nextSpool++;
    for (const piece of this.#pieces.filter(({ bytes }) => bytes !== null)) {
      room.keep(piece.length);
      await this.#files.engine.spoolWrite({ spool: this.#file, offset: piece.offset, bytes: piece.bytes! });
      piece.bytes = null;
      this.#inMemory -= piece.length;
    }
  }

  /** Rows [from, from + count), as messages, one after another. */
  async send(
    from: number,
    count: number,
    take: (messages: Uint8Array, rows: number) => MaybePromise<void>,
  ): Promise<void> {
    for (let row = from, left = count; left > 0;) {
      const { piece, bytes, starts } = await this.#pieceOf(row);
      const at = row - piece.first;
      const rows = Math.min(left, piece.rows - at);
      const full = take(bytes.subarray(starts[at], starts[at + rows]), rows);
      if (full !== undefined) await full;
      row += rows;
      left -= rows;
    }
  }

  async #pieceOf(row: number): Promise<ReadPiece> {
    const known = this.#read;
    if (known !== null && row >= known.piece.first && row < known.piece.first + known.piece.rows) return known;
    let low = 0;
    for (let high = this.#pieces.length - 1; low < high;) {
      const middle = (low + high + 1) >> 1;
      if (this.#pieces[middle]!.first <= row) low = middle;
      else high = middle - 1;
    }
    const piece = this.#pieces[low]!;
    const { offset, length } = piece;
    const bytes = piece.bytes ?? (await this.#files.engine.spoolRead({ spool: this.#file, offset, length }));
    this.#read = { piece, bytes, starts: startsOf(bytes, piece.rows) };
    return this.#read;
  }

  async close(): Promise<void> {
    this.#pieces.length = 0;
    this.#read = null;
    this.#inMemory = 0;
    const file = this.#file;
    this.#file = 0;
    try {
      if (file !== 0) await this.#files.engine.spoolClose(file);
    } finally {
      this.#room?.end();
      this.#room = null;
    }
  }
}

function startsOf(messages: Uint8Array, rows: number): Int32Array {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  const starts = new Int32Array(rows + 1);
  for (let row = 0, at = 0; row < rows; row++) starts[row + 1] = at += 1 + view.getInt32(at + 1);
  return starts;
}

export function rowsIn(messages: Uint8Array): number {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  let rows = 0;
  for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) rows++;
  return rows;
}

/** The last of some DataRow messages, as bytes of its own. */
export function lastRow(messages: Uint8Array): Uint8Array {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  let start = 0;
  for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) start = at;
  return messages.slice(start);
}
