/** A planted bug for each invariant: the simulation must find it. What is planted stands between Arka's parts, never in them. */
import { expect, test, vi } from 'vitest';
import type { TableDef } from '../../src/table-def.ts';
import type { Database } from '../../src/ingest/database.ts';
import type { UniqueKey } from '../../src/storage/unique-key.ts';
import type { FlushManifest } from '../../src/storage/iceberg/lake-api.ts';
import type { Planted } from './life.ts';
import { hasUniques, runSeed } from './scenario.ts';

vi.mock('node:sqlite', async () => ({ DatabaseSync: (await import('./sim-node.ts')).DatabaseSync }));
vi.mock('@aws-sdk/client-s3', async () => (await import('./sim-s3.ts')).simCommands());
vi.mock('../../src/storage/iceberg/s3-client.ts', async (original) => ({
  ...(await original<object>()),
  connectS3: (await import('./sim-s3.ts')).connectSimS3,
}));

const SEEDS_MAX = 100;
const seeds = (max: number): readonly number[] => Array.from({ length: max }, (_, i) => i + 1);

/** Whatever a transaction writes to meets UNIQUE constraints that are changed. */
function changeUniques(database: Database, change: (unique: UniqueKey) => void): void {
  const { begin } = database;
  database.begin = (synchronous) => {
    const transaction = begin.call(database, synchronous);
    const { of } = transaction;
    transaction.of = (table) => {
      for (const unique of table.uniques) change(unique);
      return of.call(transaction, table);
    };
    return transaction;
  };
}

const BUGS: readonly (readonly [name: string, planted: Planted, finds: RegExp])[] = [
  [
    'a flush leaves out its deltas',
    {
      lake: (lake) => {
        const { writeFlush } = lake;
        lake.writeFlush = (manifest) => writeFlush({ ...manifest, deltas: [] });
      },
    },
    /V1|V4/,
  ],
  [
    'a commit says that it has more than was flushed',
    {
      lake: (lake) => {
        const { commit } = lake;
        lake.commit = (request) => commit({ ...request, lsn: request.lsn + 3 });
      },
    },
    /V1|V3|V4|read-only/,
  ],
  [
    'a commit leaves out its deletes',
    {
      lake: (lake) => {
        const { commit } = lake;
        lake.commit = (request) => commit({ ...request, deletes: [] });
      },
    },
    /V1|V4/,
  ],
  [
    'a flush does not say which files TRUNCATE has emptied (V1)',
    {
      lake: (lake) => {
        const { writeFlush } = lake;
        lake.writeFlush = (manifest) =>
          writeFlush({ ...manifest, deltas: manifest.deltas.filter(({ whole }) => whole === undefined) });
      },
    },
    /V1|V4/,
  ],
  [
    'a commit leaves the files that TRUNCATE has emptied (V4)',
    {
      lake: (lake) => {
        const { commit } = lake;
        lake.commit = (request) => commit({ ...request, dropped: [] });
      },
    },
    /V1|V4/,
  ],
  [
    'what is on disk is said to be flushed further than it is',
    {
      database: (database) => {
        const { flush } = database;
        database.flush = async (table, trigger) => {
          await flush.call(database, table, trigger);
          table.flushedLsn = database.committer.appliedLsn + 1;
        };
      },
    },
    /V2|V7/,
  ],
  [
    'the log acknowledges before it has written',
    {
      log: (log) => {
        const append = log.append.bind(log);
        log.append = (head, parts, ...how) => {
          const done = append(head, parts, ...how);
          const lsn = log.lastLsn;
          if (done && head.last) queueMicrotask(() => void ((log as { durableLsn: number }).durableLsn = lsn));
          if (done && head.last) queueMicrotask(() => log.onDurable(lsn));
          return done;
        };
      },
      world: (world) => void (world.fs.lazySync = (path) => path.startsWith('/sim/wal')),
    },
    /V3|corrupt/,
  ],
  [
    'the log is trimmed to what is published',
    {
      log: (log) => {
        const { trim } = log;
        log.trim = () => trim.call(log, log.lastLsn + 1);
      },
    },
    /V3|read-only/,
  ],
  [
    'blocks of slabs are not all given back (V5)',
    {
      database: ({ memory: { pool } }) => {
        const { free } = pool;
        let count = 0;
        pool.free = (address, bytes) => (++count % 7 === 0 ? undefined : free.call(pool, address, bytes));
      },
    },
    /V5/,
  ],
  [
    'blocks of slabs are given out beyond the budget (V5)',
    { database: ({ memory: { pool } }) => void Object.defineProperty(pool, 'budgetBytes', { value: 2 ** 16 }) },
    /V5/,
  ],
  [
    'memory takes the rows of a flushed slice to be where they were (C2)',
    {
      database: (database) => {
        const { addTable } = database;
        database.addTable = (state) => {
          const table = addTable.call(database, state);
          const { warm } = table;
          const { keep } = warm;
          warm.keep = (index, slices, flushed) =>
            keep.call(
              warm,
              index,
              slices,
              new Map([...flushed].map(([slice, { file }]) => [slice, { file, newOf: null }])),
            );
          return table;
        };
      },
    },
    /C2/,
  ],
  [
    "a table's properties leave out its key (V6)",
    {
      lake: (lake) => {
        const { define } = lake;
        lake.define = async (request) => {
          const newTables = request.newTables.map((each) => ({ ...each, def: { ...each.def, key: [], keyName: '' } }));
          const { created, altered } = await define({ ...request, newTables });
          return { created: created.map((state, i) => ({ ...state, def: request.newTables[i]!.def })), altered };
        };
      },
    },
    /V6/,
  ],
  [
    'a compaction loses the deletes that came while it wrote (V4)',
    {
      lake: (lake) => {
        const { rewrite } = lake;
        lake.rewrite = (request) => rewrite({ ...request, deletes: [] });
      },
    },
    /V1|V4/,
  ],
  [
    'files of the disk tier are not synced (C10)',
    { world: (world) => void (world.fs.lazySync = (path) => path.endsWith('.parquet')) },
    /damaged|no such file|read-only|V1|V4/,
  ],
  [
    'the index over files says that it covers files before it has built their runs (V1)',
    {
      index: (index) => {
        const { change } = index;
        index.change = async (changes) => {
          await change(changes);
          return { covered: changes.added.map(({ unit }) => unit) };
        };
      },
    },
    /V1/,
  ],
  [
    'the index over files does not say what it has lost (V1)',
    {
      index: (index) => {
        const { lookup } = index;
        index.lookup = async (request) => ({ ...(await lookup(request)), lost: [] });
      },
    },
    /V1/,
  ],
  [
    'a flush does not name the files of large transactions (V3)',
    {
      database: (database) => {
        const { lake } = database;
        const writeFlush = (manifest: FlushManifest): Promise<void> => {
          const table = database.tables.get(manifest.tableUuid)!;
          const own = new Set(table.files.filter((file) => file.isUnlisted).map(({ info }) => info.location));
          const segments = manifest.segments.filter(({ location }) => !own.has(location));
          return lake.writeFlush({ ...manifest, segments });
        };
        (database as { lake: unknown }).lake = new Proxy(lake, {
          get: (target, method: keyof typeof lake) => (method === 'writeFlush' ? writeFlush : target[method]),
        });
      },
    },
    /V1|V3|V4|read-only|without faults/,
  ],
  [
    'a rollback to a savepoint takes nothing back (V1)',
    {
      database: (database) => {
        const { begin } = database;
        database.begin = (synchronous) => Object.assign(begin.call(database, synchronous), { rollbackTo: () => {} });
      },
    },
    /V1|V4/,
  ],
  [
    'ALTER leaves the names of columns in the catalog as they were (V6)',
    {
      lake: (lake) => {
        const { define } = lake;
        const named = (def: TableDef): TableDef => ({
          ...def,
          columns: def.columns.map((column) => (column.fieldId === 3 ? { ...column, name: 'name' } : column)),
        });
        lake.define = async (request) => {
          const alteredTables = request.alteredTables.map((each) => ({ ...each, def: named(each.def) }));
          const { created, altered } = await define({ ...request, alteredTables });
          return { created, altered: altered.map((each, i) => ({ ...each, def: request.alteredTables[i]!.def })) };
        };
      },
    },
    /V6/,
  ],
  [
    'an upload in parts leaves one out (V4)',
    { world: (world) => void (world.s3.losesPart = (part) => part === 2) },
    /damaged/,
  ],
  [
    'a table that comes back lacks what the log has of it (V1)',
    {
      lake: (lake) => {
        lake.logFrames = ({ to }) => Promise.resolve({ frames: [], through: to });
      },
    },
    /V1|V4/,
  ],
  [
    'the index of a UNIQUE constraint over files knows no values (U1)',
    {
      index: (index) => {
        const { lookup } = index;
        index.lookup = async (request) => {
          const none = { rows: new Int32Array(0), units: new Int32Array(0), positions: new Uint32Array(0) };
          const answer = await lookup(request);
          return request.uuid.includes('.') ? { ...none, lost: answer.lost } : answer;
        };
      },
    },
    /U1/,
  ],
  [
    'values of UNIQUE constraints are not looked for in memory (U1)',
    { database: (database) => changeUniques(database, (unique) => void (unique.findInMemory = () => [])) },
    /U1/,
  ],
  [
    'values of UNIQUE constraints are locked by several at once (U1)',
    {
      database: (database) =>
        changeUniques(database, ({ locks }) => {
          const { claim } = Object.getPrototypeOf(locks) as typeof locks;
          locks.claim = (key, hash, a, b) => claim.call(locks, key, hash, a, b) || locks.a !== a;
        }),
    },
    /U1/,
  ],
  [
    'a flush says that it has what is not durable yet (V7)',
    {
      database: (database) => {
        const { lake } = database;
        (database as { lake: unknown }).lake = new Proxy(lake, {
          get: (target, method: keyof typeof lake) =>
            method === 'writeFlush'
              ? (manifest: FlushManifest) => lake.writeFlush({ ...manifest, flushedLsn: manifest.flushedLsn + 7 })
              : target[method],
        });
      },
    },
    /V7/,
  ],
];

test.each(BUGS)(
  'a planted bug is found: %s',
  async (_, planted, finds) => {
    // constraints are in a quarter of the seeds
    for (const seed of finds.source === 'U1' ? seeds(SEEDS_MAX * 4).filter(hasUniques) : seeds(SEEDS_MAX)) {
      const failure = await runSeed(seed, { lives: 3, planted }).then(
        () => null,
        (error: unknown) => (error as Error).message,
      );
      if (failure === null) continue;
      expect(failure).toMatch(finds);
      return;
    }
    expect.fail(`${SEEDS_MAX} seeds have not found it`);
  },
  300_000,
);
