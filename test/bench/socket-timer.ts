/**
 * Loaded into a server before its own code (`node --import`): how long a request is inside the process. The clock starts when
 * Node hands over bytes that begin with a Bind message, and stops when the answer has been given to the operating system.
 * The times go to the file that BENCH_SOCKET_TIMES names, as doubles in milliseconds, when the process ends.
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
  const stop = (socket: Socket): void => {
    const at = begun.get(socket);
    if (at === undefined) return;
    times.push(performance.now() - at);
    begun.delete(socket);
  };
  // the first attempt to write is made before these return
  Socket.prototype._write = function (this: Socket, ...given) {
    _write.apply(this, given);
    stop(this);
  };
  Socket.prototype._writev = function (this: Socket, ...given) {
    _writev!.apply(this, given);
    stop(this);
  };
  process.on('exit', () => writeFileSync(path, new Uint8Array(Float64Array.from(times).buffer)));
}
