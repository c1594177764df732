/**
 * Loaded into a server before its own code (`node --import`): how long a request is inside the process. The clock starts when
 * Node hands over bytes that begin with a Bind message, and stops when the answer has been given to the operating system, whose
 * call may also wake the client and wait for it: so the time until just before that call is kept beside it.
 * Both go to the file that BENCH_SOCKET_TIMES names, as pairs of doubles in milliseconds, when the process ends.
 */
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const BIND = 0x42;
const path = process.env['BENCH_SOCKET_TIMES'];
if (path !== undefined && isMainThread) {
  const begun = new WeakMap<object, number>();
  const times: number[] = [];
  const { push, _write, _writev } = Socket.prototype;
  Socket.prototype.push = function (this: Socket, chunk: Uint8Array | null, ...rest) {
    if (chunk?.[0] === BIND) begun.set(this, performance.now());
    return push.call(this, chunk, ...rest);
  };
  // the first attempt to write is made before `write` returns
  const around = (socket: Socket, write: () => void): void => {
    const at = begun.get(socket);
    const answered = performance.now();
    write();
    if (at === undefined) return;
    times.push(answered - at, performance.now() - at);
    begun.delete(socket);
  };
  Socket.prototype._write = function (this: Socket, ...given) {
    around(this, () => _write.apply(this, given));
  };
  Socket.prototype._writev = function (this: Socket, ...given) {
    around(this, () => _writev!.apply(this, given));
  };
  process.on('exit', () => writeFileSync(path, new Uint8Array(Float64Array.from(times).buffer)));
}
