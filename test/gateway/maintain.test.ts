/** What a cancel does to statements that move rows and files. */
import { expect, test } from 'vitest';
import type { Database } from '../../src/ingest/database.ts';
import { maintain } from '../../src/gateway/maintain.ts';
import type { Running } from '../../src/running.ts';

const def = { schema: 'public', name: 't' };

test.each([
  ['CHECKPOINT', { kind: 'checkpoint' }],
  ['CALL arka.flush', { kind: 'call', procedure: 'flush', def }],
  ['CALL arka.commit', { kind: 'call', procedure: 'commit', def }],
  ['VACUUM', { kind: 'vacuum', defs: [def], full: false, verbose: true }],
  ['VACUUM FULL', { kind: 'vacuum', defs: [def], full: true, verbose: true }],
])('%s ends with 57014 when it is cancelled, and has nothing to say later', async (_, statement) => {
  const disk = Promise.withResolvers<never>();
  const slow = (): Promise<never> => disk.promise;
  const table = { def, files: [], temporary: false, dropped: false, detached: null };
  const database = { table: () => table, checkpoint: slow, flush: slow, commit: slow, inLane: slow, refresh: slow };
  const said: string[] = [];
  let cancel = (): void => {};
  const running: Running = (given) => {
    cancel = given;
    return () => {};
  };
  const given = [database, statement, (message: string) => said.push(message), running];
  const done = maintain(...(given as unknown as [Database, Parameters<typeof maintain>[1], () => void, Running]));
  cancel();
  await expect(done).rejects.toMatchObject({ code: '57014' });
  disk.reject(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));
  expect(said).toEqual([]);
});
