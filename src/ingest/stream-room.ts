/** A stream of the log that has its room on the disk a step ahead of its bytes (D6 in storage/disk/disk-cache.ts). */
import type { DiskCache } from '../storage/disk/disk-cache.ts';
import type { Log, LogStream } from '../storage/log/log-api.ts';

export interface StreamHost {
  readonly log: Log;
  readonly disk: Pick<DiskCache, 'growing'>;
}

/** Its `push` may reject with 53100. */
export function streamWithRoom({ log, disk }: StreamHost): LogStream {
  const stream = log.stream();
  const room = disk.growing('The rows of a large transaction, which go to the log while it runs,');
  return {
    get reference() {
      return stream.reference;
    },
    get rows() {
      return stream.rows;
    },
    push(count, parts) {
      const written = stream.push(count, parts);
      const more = room.written(parts.reduce((bytes, part) => bytes + part.length, 0));
      return written === undefined || more === undefined ? (written ?? more) : written.then(() => more);
    },
    seal: () => {
      room.end();
      return stream.seal();
    },
    committed: (lsn) => {
      room.end();
      stream.committed(lsn);
    },
    discard: () => {
      room.end();
      stream.discard();
    },
  };
}
