/**
 * Loaded into a server before its own code (`node --import`): how long a request is inside the process. The clock starts when
 * Node hands over bytes that begin with a Bind message, and stops when the answer's end (ReadyForQuery) has been given to the operating
 * system, whose call may also wake the client and wait for it: so the time until just before that call is kept beside it.
 * Both go to the file that BENCH_SOCKET_TIMES names, as pairs of doubles in milliseconds, when the process ends.
 */
import { writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net, { type SocketConstructorOpts } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const BIND = 0x42;
const READY_FOR_QUERY = 0x5a;
const READY_FOR_QUERY_BYTES = 6;
const path = process.env['BENCH_SOCKET_TIMES'];
if (path !== undefined && isMainThread) {
  const begun = new WeakMap<object, number>();
  const times: number[] = [];
  const { Socket } = net;
  const { _write, _writev } = Socket.prototype;
  // the server's sockets are its own, which take what was read by `onread` (src/wire/shared-reads.ts)
  net.Socket = class extends Socket {
    constructor(options: SocketConstructorOpts = {}) {
      const { onread } = options;
      if (onread === undefined) super(options);
      else super({ ...options, onread: { ...onread, callback: (length, bytes) => this.#took(onread, length, bytes) } });
    }

    #took(onread: NonNullable<SocketConstructorOpts['onread']>, length: number, bytes: Uint8Array): boolean {
      if (bytes[0] === BIND) begun.set(this, performance.now());
      return onread.callback(length, bytes);
    }
  };
  syncBuiltinESMExports();
  // the first attempt to write is made before `write` returns
  const around = (socket: net.Socket, write: () => void, bytes: Uint8Array | null): void => {
    const isEnd = bytes === null || bytes[bytes.length - READY_FOR_QUERY_BYTES] === READY_FOR_QUERY;
    const at = isEnd ? begun.get(socket) : undefined;
    const answered = performance.now();
    write();
    if (at === undefined) return;
    times.push(answered - at, performance.now() - at);
    begun.delete(socket);
  };
  Socket.prototype._write = function (this: net.Socket, ...given) {
    around(this, () => _write.apply(this, given), given[0] as Uint8Array);
  };
  Socket.prototype._writev = function (this: net.Socket, ...given) {
    around(this, () => _writev!.apply(this, given), null);
  };
  process.on('exit', () => writeFileSync(path, new Uint8Array(Float64Array.from(times).buffer)));
}
