/**
 * One session's use of the thread that writes to sockets (`socket-writer.ts`).
 *
 * - D1 One write of a session is there at most; before main writes to its socket, or closes it, that one is written or taken back.
 * - D2 The descriptor is closed only when the thread makes no call with it any more: the system gives its number to the next client.
 */
import type { Socket } from 'node:net';
import type { SlotOwner, SocketWriter } from './socket-writer.ts';
import { SLOT_BYTES } from './write-slots.ts';

interface Handle {
  readonly fd?: number;
  close(...args: unknown[]): unknown;
  reset(...args: unknown[]): unknown;
}

export class HandedWrite implements SlotOwner {
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  readonly #fd: number;
  #slot = -1;
  #joined = true;

  private constructor(socket: Socket, writer: SocketWriter, fd: number) {
    this.#socket = socket;
    this.#writer = writer;
    this.#fd = fd;
    writer.join();
  }

  /** Null: there is no descriptor to write to. */
  static of(socket: Socket, writer: SocketWriter): HandedWrite | null {
    const handle = (socket as unknown as { readonly _handle: Handle | null })._handle;
    const fd = handle?.fd ?? -1;
    if (handle === null || fd < 0) return null;
    const handed = new HandedWrite(socket, writer, fd);
    for (const name of ['close', 'reset'] as const) {
      const original = handle[name];
      handle[name] = (...args) => handed.#beforeEnd(() => original.apply(handle, args));
    }
    return handed;
  }

  /** False: the caller writes them; nothing stands before them at the thread. */
  hand(bytes: Uint8Array, length: number): boolean {
    this.settle();
    if (length > SLOT_BYTES || this.#socket.writableLength > 0 || !this.#socket.writable) return false;
    this.#slot = this.#writer.hand(this.#fd, bytes, length, this);
    return this.#slot >= 0;
  }

  settle(): void {
    if (this.#slot < 0) return;
    const left = this.#writer.reclaim(this.#slot);
    if (left === 'stuck') {
      this.#socket.destroy(); // nobody knows what of it has gone
      return;
    }
    this.#slot = -1;
    if (left !== null && this.#socket.writable) this.#socket.write(left);
  }

  /** D2 */
  #beforeEnd(end: () => unknown): unknown {
    if (this.#joined) this.#writer.leave();
    this.#joined = false;
    if (this.#slot >= 0 && this.#writer.reclaim(this.#slot) === 'stuck') return void this.#writer.ended.then(end);
    this.#slot = -1;
    return end();
  }
}
