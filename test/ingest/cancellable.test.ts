/** What a statement's cancel does to a lookup that waits for files. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { cancellable } from '../../src/ingest/cancellable.ts';
import { NO_USAGE } from '../../src/storage/disk/disk-usage.ts';
import type { Running } from '../../src/running.ts';
import { DiskCache } from '../../src/storage/disk/disk-cache.ts';
import type { LookupRequest, UnitEngine } from '../../src/storage/unit-engine.ts';

const fileAt = (path: string) => ({ unit: 1, rows: 10, bytes: 10, path, deletes: null });
const requestFor = (path: string): LookupRequest => ({ def: null!, files: [fileAt(path)], keys: [], rows: 1 });

function world() {
  const cancelled: string[] = [];
  const gate = Promise.withResolvers<void>();
  const cache = new DiskCache({
    dir: '/d/cache',
    limit: 1000,
    clock: systemClock,
    lake: {
      fetchFile: (path) => gate.promise.then(() => ({ path, bytes: 10 })),
      cancelFetch: async (path) => {
        cancelled.push(path);
        gate.reject(new Error('cancelled'));
      },
      removeFiles: () => Promise.resolve(),
      fetchParts: () => Promise.reject(new Error('whole files alone')),
      diskUsage: () => Promise.resolve(NO_USAGE),
    },
    warn: (error) => {
      throw error;
    },
  });
  const asked: string[] = [];
  const answer = { rows: new Int32Array(), units: new Int32Array(), positions: new Uint32Array() };
  const engine = {
    lookup: (request: LookupRequest) => {
      asked.push(request.files[0]!.path);
      return Promise.resolve(answer);
    },
  } as unknown as UnitEngine;
  let cancel = (): void => {};
  const running: Running = (given) => {
    cancel = given;
    return () => {};
  };
  return { own: cancellable(engine, cache, running), asked, answer, cancelled, gate, cancel: () => cancel() };
}

test('a lookup that waits for a download ends with 57014 when its statement is cancelled, and so does the download', async () => {
  const { own, asked, cancelled, cancel } = world();
  const lookup = own.lookup(requestFor('/d/cache/away'));
  await new Promise((resolve) => setImmediate(resolve));
  cancel();
  await expect(lookup).rejects.toMatchObject({ code: '57014' });
  expect(asked).toEqual([]);
  await expect.poll(() => cancelled).toEqual(['/d/cache/away']);
});

test('a lookup whose file has come goes on, and one in local files never waits', async () => {
  const { own, asked, answer, gate } = world();
  const waiting = own.lookup(requestFor('/d/cache/away'));
  expect(await own.lookup(requestFor('/d/disk/here'))).toBe(answer);
  expect(asked).toEqual(['/d/disk/here']);
  gate.resolve();
  expect(await waiting).toBe(answer);
  expect(asked).toEqual(['/d/disk/here', '/d/cache/away']);
});
