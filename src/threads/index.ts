/** The index thread: runs of keys of rows in files, and a DuckDB instance of one thread that reads those files. */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { closeInstance, openInstance, settle, type Instance } from '../federation/connections.ts';
import { heldBy } from '../federation/instance-memory.ts';
import { keySource } from '../federation/key-source.ts';
import { rowGroups } from '../federation/row-groups.ts';
import { rowReader } from '../federation/row-reader.ts';
import { invariant } from '../errors.ts';
import { serve, Transfer } from '../rpc.ts';
import { giveWay } from '../thread-priority.ts';
import type { FileChanges, IndexApi, IndexSettings, RowRequest } from '../storage/index/index-api.ts';
import { createIndexCore } from '../storage/index/index-service.ts';

invariant(parentPort !== null, 'the index runs as a worker');
giveWay();
let instance: Instance | null = null;
let opening: Promise<Instance> | null = null;
const opened = (): Instance => {
  invariant(instance !== null, 'the index is open');
  return instance;
};
const core = createIndexCore(systemClock, keySource(opened));
const rows = rowReader(opened);

const api = {
  ...core,
  open: async ({ readerBytes, tempDir, ...settings }: IndexSettings) => {
    opening = openInstance({ memoryLimitBytes: readerBytes, threads: 1, tempDir, footerBytes: 0 });
    instance = await opening;
    return await core.open(settings);
  },
  lookup: async (request: Parameters<IndexApi['lookup']>[0]) => {
    const answer = await core.lookup(request);
    return new Transfer(answer, [answer.rows.buffer, answer.units.buffer, answer.positions.buffer] as ArrayBuffer[]);
  },
  change: (changes: FileChanges) => {
    if (changes.removed.length + changes.moved.length > 0) rows.forget();
    return core.change(changes);
  },
  rowGroups: (path: string) => rowGroups(opened(), path),
  readVectors: (request: RowRequest) => rows.readVectors(request),
  readRow: async (request: RowRequest) => {
    const message = await rows.readRow(request);
    return new Transfer(message, [message.buffer as ArrayBuffer]);
  },
  memory: async () => {
    const { cacheBytes } = await core.stats(null);
    return { ...(await heldBy(opened())), pageBytes: cacheBytes };
  },
  shutdown: async () => {
    await opening?.catch(() => undefined); // a thread may not end while DuckDB works for it
    await core.shutdown(null);
    rows.forget();
    if (instance === null) return;
    const ending = instance;
    instance = null;
    for (const lease of ending.all) await settle(lease);
    await closeInstance(ending);
  },
};
serve(parentPort, api);
