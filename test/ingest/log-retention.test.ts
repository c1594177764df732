import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SqlError, SqlState } from '../../src/errors.ts';
import { LogRetention, neededFrom, walZone } from '../../src/ingest/log-retention.ts';
import { UnclaimedRows } from '../../src/ingest/unclaimed-rows.ts';
import type { Detached } from '../../src/storage/iceberg/lake-api.ts';
import { decodeCheckpoint, encodeCheckpoint, neededBy } from '../../src/storage/log/checkpoint.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

test.each([
  [0, 'green'],
  [79, 'green'],
  [80, 'yellow'],
  [99, 'yellow'],
  [100, 'red'],
] as const)('a log of %i of 100 bytes is %s', (bytes, zone) => {
  expect(walZone(bytes, 100)).toBe(zone);
});

test.each([
  [{ uncommittedFrom: 0, flushedLsn: 90 }, false, 0],
  [{ uncommittedFrom: 0, flushedLsn: 90 }, true, 0],
  [{ uncommittedFrom: 40, flushedLsn: 30 }, false, 40],
  [{ uncommittedFrom: 40, flushedLsn: 90 }, false, 40],
  [{ uncommittedFrom: 40, flushedLsn: 90 }, true, 91],
  [{ uncommittedFrom: 40, flushedLsn: 30 }, true, 40],
])('H3: of %o the log keeps, beyond wal.max_size %s, from LSN %i on', (table, beyond, from) => {
  expect(neededFrom(table, beyond)).toBe(from);
});

test('a checkpoint that is too large for a frame leaves out the metadata files, and then says that it does not fit', () => {
  const tables = [
    {
      uuid: 'u'.repeat(36),
      committedLsn: 5,
      neededFrom: 7,
      lastLsn: 8,
      snapshotId: 7n,
      metadataLocation: 'm'.repeat(500),
    },
  ];
  const whole = encodeCheckpoint({ lsn: 8, tables }, 1000)!;
  expect(decodeCheckpoint(whole)).toEqual({ lsn: 8, tables });
  expect(decodeCheckpoint(encodeCheckpoint({ lsn: 8, tables }, 400)!).tables).toEqual([
    { ...tables[0], metadataLocation: '' },
  ]);
  expect(encodeCheckpoint({ lsn: 8, tables }, 50)).toBeNull();
});

test('a checkpoint of a version that did not say which operation of a table is its last takes all before it to be needed', () => {
  const older = JSON.stringify({ version: 1, lsn: 8, tables: [['u', 2, 3, null, '']] });
  const checkpoint = decodeCheckpoint(new TextEncoder().encode(older));
  expect(neededBy(checkpoint, checkpoint.tables[0], 5)).toBe(6);
  expect(neededBy(checkpoint, checkpoint.tables[0], 8)).toBe(9);
});

/** Retention over a log that only notes where it begins, and over tables that are what it asks of them. */
class Kept {
  readonly tables = Array.from({ length: 3 }, (_, i) => ({
    def: { uuid: `t${i}`, schema: 'public', name: `t${i}` },
    committedLsn: 0,
    flushedLsn: 0,
    unflushedFrom: 0,
    uncommittedFrom: 0,
    appliedLsn: 0,
    logHeldFrom: 0,
    detached: null as Detached | null,
    snapshotId: null,
    metadataLocation: '',
    operations: [] as number[],
  }));
  readonly state = { full: false, appliedLsn: 0 };
  readonly flushFails = new SqlError(SqlState.diskFull, 'no space left for a data file');
  firstLsn = 1;
  newest: Uint8Array | null = null;
  readonly retention: LogRetention;

  constructor() {
    const { state } = this;
    const log = {
      frameBytesMax: 1e6,
      checkpoint: null,
      get full() {
        return state.full;
      },
      get lastLsn() {
        return state.appliedLsn;
      },
      stats: () => ({ liveBytes: 640, segments: 1 }),
      loosen: () => {},
      trim: (to: number) => {
        this.firstLsn = Math.max(this.firstLsn, Math.min(to, this.checkpoint.lsn + 1));
        return Promise.resolve();
      },
    };
    const checkpoint = (payload: () => Uint8Array | null): Promise<boolean> => {
      this.newest = payload();
      return Promise.resolve(true);
    };
    const owner = {
      log,
      committer: {
        checkpoint,
        get appliedLsn() {
          return state.appliedLsn;
        },
      },
      disk: { full: false },
      unclaimed: new UnclaimedRows(),
      warn: () => {},
      flush: () => Promise.reject(this.flushFails),
      tables: new Map(this.tables.map((table) => [table.def.uuid, table])),
    };
    this.retention = new LogRetention(owner as unknown as ConstructorParameters<typeof LogRetention>[0], 1000);
  }

  get checkpoint(): ReturnType<typeof decodeCheckpoint> {
    return decodeCheckpoint(this.newest!);
  }

  write(at: number): void {
    const table = this.tables[at]!;
    const lsn = ++this.state.appliedLsn;
    table.operations.push(lsn);
    table.appliedLsn = lsn;
    table.unflushedFrom ||= lsn;
    table.uncommittedFrom ||= lsn;
  }

  flush(at: number): void {
    if (this.tables[at]!.unflushedFrom > 0)
      Object.assign(this.tables[at]!, { flushedLsn: this.state.appliedLsn, unflushedFrom: 0 });
  }

  commit(at: number): void {
    const table = this.tables[at]!;
    Object.assign(table, { committedLsn: table.flushedLsn, uncommittedFrom: table.unflushedFrom });
  }

  /** Where a start looks into the log for a table. */
  startsFrom(at: number): number {
    const { committedLsn, def, flushedLsn } = this.tables[at]!;
    const entry = this.checkpoint.tables.find(({ uuid }) => uuid === def.uuid);
    return Math.max(neededBy(this.checkpoint, entry, committedLsn), flushedLsn + 1);
  }
}

test('H3: a table that was committed whole since the last checkpoint of a full disk does not hold the log, and a start does not miss it', async () => {
  const kept = new Kept();
  kept.write(0);
  kept.flush(0);
  for (let i = 0; i < 5; i++) kept.write(1);
  await kept.retention.checkpoint(); // t0 needs the first operation
  kept.state.full = true;
  kept.commit(0);
  kept.flush(1);
  kept.commit(1);
  await kept.retention.trim();
  expect(kept.firstLsn).toBe(7);
  expect(kept.startsFrom(0)).toBe(7);
});

test('H3: with a full disk a table that has more since the commit holds the log as the last checkpoint has it, until it is on disk', async () => {
  const kept = new Kept();
  kept.write(0);
  kept.flush(0);
  for (let i = 0; i < 5; i++) kept.write(1);
  kept.flush(1);
  kept.write(0);
  await kept.retention.checkpoint(); // t0 needs the first operation and has the last
  kept.state.full = true;
  kept.commit(0);
  await kept.retention.trim();
  expect(kept.firstLsn).toBe(2);
  expect(kept.startsFrom(0)).toBe(2);
  kept.flush(0);
  await kept.retention.trim();
  expect(kept.firstLsn).toBe(7);
});

const away = (reason: Detached['reason']): Detached => ({
  reason,
  message: 'data file "f.parquet" could not be read',
  detail: '',
  hint: 'Restore the file.',
  last: { lsn: 0, snapshotId: null, metadataLocation: '' },
});

test.each([
  ['whose rows are not on disk yet', () => {}, 'its rows are not on disk yet.', ''],
  [
    'that cannot be flushed',
    (kept: Kept) => kept.retention.relieve(),
    'its rows could not be written to disk: no space left for a data file.',
    '',
  ],
  [
    'that cannot be read',
    (kept: Kept) => void (kept.tables[1]!.detached = away('unreadable')),
    'the table cannot be read (data file "f.parquet" could not be read), and the log has rows of it until it can.',
    'Restore the file. ',
  ],
  [
    'that is read-only',
    (kept: Kept) => void (kept.tables[1]!.detached = away('rows')),
    'the table is read-only (data file "f.parquet" could not be read).',
    'Restore the file. ',
  ],
  [
    'that is being read again',
    (kept: Kept) =>
      void Object.assign(kept.tables[1]!, { detached: away('unreadable'), uncommittedFrom: 0, logHeldFrom: 2 }),
    'the table is being read again, after data file "f.parquet" could not be read, and its rows come from the log.',
    'Restore the file. ',
  ],
])('53100 of a full log names the table %s', async (_, happens, why, hint) => {
  const kept = new Kept();
  kept.write(0);
  kept.flush(0);
  kept.commit(0);
  kept.write(1);
  await kept.retention.checkpoint();
  kept.state.full = true;
  await happens(kept);
  expect(kept.retention.refused()).toMatchObject({
    code: '53100',
    fields: {
      detail: `The log takes 640 bytes. From LSN 2 on it is kept for table "public"."t1": ${why}`,
      hint: `${hint}Free disk space; writes go on by themselves.`,
    },
  });
});

test('53100 of a full disk whose newest checkpoint holds the log says so', async () => {
  const kept = new Kept();
  for (let i = 0; i < 3; i++) kept.write(1);
  await kept.retention.checkpoint();
  kept.write(1);
  kept.flush(1);
  kept.state.full = true;
  kept.write(2);
  kept.flush(2);
  expect(kept.retention.refused().fields.detail).toBe(
    'The log takes 640 bytes. From LSN 5 on it is kept for table "public"."t1": its rows are on disk, and its flush manifest ' +
      'does not say so yet. From LSN 4 on a start would look into it, by a newest checkpoint that there is no room to replace.',
  );
});

test('53100 of a log at wal.max_size that nothing holds says how large it is', () => {
  expect(new Kept().retention.refused('wal.max_size')).toMatchObject({
    code: '53100',
    fields: { detail: 'The log takes 640 of 1000 bytes.', hint: expect.stringContaining('raise wal.max_size') },
  });
});

test('H3: whatever is written, flushed and committed since the newest checkpoint, the log keeps what a start by it looks for', async () => {
  const at = fc.nat(2);
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom('write', 'write', 'flush', 'commit'), at }),
    fc.record({
      do: fc.constantFrom('checkpoint', 'trim', 'trim', 'full', 'full', 'full', 'free'),
      at: fc.constant(0),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      const kept = new Kept();
      await kept.retention.checkpoint();
      for (const { do: what, at: table } of steps) {
        if (what === 'write' || what === 'flush' || what === 'commit') kept[what](table);
        else if (what === 'trim') await kept.retention.trim();
        else if (what === 'checkpoint') await kept.retention.checkpoint();
        else kept.state.full = what === 'full';
        for (const [i, { flushedLsn, operations }] of kept.tables.entries()) {
          const from = kept.startsFrom(i);
          expect(from).toBeGreaterThanOrEqual(kept.firstLsn); // R4: else the table would be read-only
          expect(operations.find((lsn) => lsn > flushedLsn) ?? Infinity).toBeGreaterThanOrEqual(from); // V3
        }
      }
    }),
    { numRuns: 500 },
  );
});

describe('of a database', () => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await TestDatabase.create();
    await createTable(db.tiers.database, tableDef('t', noPartition));
  });
  afterEach(() => db.destroy());

  /** Anew, with segments of 128 KiB. */
  async function limitLog(logBytesMax: number): Promise<void> {
    await db.destroy();
    db = await TestDatabase.create(2 ** 30, null, { segmentBytes: 2 ** 17, logBytesMax });
    await createTable(db.tiers.database, tableDef('t', noPartition));
  }

  let next = 0;
  async function write(name: string, rows: number): Promise<void> {
    const transaction = db.tiers.database.begin(true);
    const text = 'x'.repeat(1000);
    await db.insert(
      transaction,
      db.table(name),
      Array.from({ length: rows }, () => [next++, 1, text] as const),
    );
    await db.tiers.database.committer.commit(transaction);
  }

  /** No commit succeeds any more, as without a catalog. */
  function loseCatalog(): void {
    const { lake } = db.tiers.database;
    (db.tiers.database as { lake: unknown }).lake = new Proxy(lake, {
      get: (target, method: keyof typeof lake) =>
        method === 'commit' ? () => Promise.reject(new Error('the catalog is away')) : target[method],
    });
  }

  test('H3: while the catalog is away the log stays within wal.max_size by flushing, and a restart has every row', async () => {
    await limitLog(2 ** 19);
    loseCatalog();
    const { database } = db.tiers;
    const before = next;
    for (let i = 0; i < 40; i++) {
      await database.admit();
      await write('t', 50);
      expect(database.log.stats().liveBytes).toBeLessThanOrEqual(2 ** 19 + 2 ** 17);
    }
    const [first] = [...database.tables.values()];
    expect(first!.committedLsn).toBe(0);
    expect(database.log.firstLsn).toBeGreaterThan(1);
    expect(database.flushes.map((flush) => flush.trigger)).toContain('wal_size');
    await db.restart();
    expect((await db.rows(db.table('t'))).length).toBe(next - before);
  });

  test('H3: a table whose rows are on disk and wait for the catalog does not hold the log at wal.max_size for the others', async () => {
    await limitLog(2 ** 18);
    loseCatalog();
    const { database } = db.tiers;
    await createTable(database, tableDef('still', noPartition));
    await write('still', 1);
    await database.flush(db.table('still'), 'test');
    const before = next;
    for (let i = 0; i < 20; i++) {
      await database.admit();
      await write('t', 50);
    }
    expect(database.log.firstLsn).toBeGreaterThan(2);
    await db.restart();
    expect(db.table('still').detached).toBeNull();
    expect((await db.rows(db.table('still'))).length).toBe(1);
    expect((await db.rows(db.table('t'))).length).toBe(next - before);
  });

  test('H3: a table on disk that was idle while the log was trimmed loses nothing with the disk tier, also after a restart', async () => {
    await limitLog(Infinity);
    const { database } = db.tiers;
    await createTable(database, tableDef('late', noPartition));
    for (let i = 0; i < 6; i++) await write('t', 50);
    await write('late', 1);
    await database.commit(db.table('t'), 'test');
    await database.flush(db.table('late'), 'test');
    await database.trimLog();
    expect(database.log.firstLsn).toBeGreaterThan(1);
    await db.restart(); // with the rows staged, and a checkpoint that says from where on the log has them
    await db.close();
    await rm(join(db.dataDir, 'disk'), { recursive: true });
    await db.open();
    expect(db.table('late').detached).toBeNull();
    expect((await db.rows(db.table('late'))).length).toBe(1);
  });

  test('H3: a log whose one segment is from a time of a larger wal.max_size takes writes', async () => {
    await write('t', 200);
    db.segmentBytes = 2 ** 17;
    db.logBytesMax = 2 ** 18;
    await db.restart();
    expect(db.tiers.database.retention.zone).toBe('green');
  });

  test('H3: while nothing can be dropped from the log its relief adds no checkpoints to it', async () => {
    db.logBytesMax = 2 ** 21;
    await db.restart();
    const { database } = db.tiers;
    const { lake } = database;
    (database as { lake: unknown }).lake = new Proxy(lake, {
      get: (target, method: keyof typeof lake) =>
        method === 'writeFlush' ? () => Promise.reject(new Error('no space')) : target[method],
    });
    while (database.retention.zone !== 'red') await write('t', 200);
    await database.retention.relieve();
    let checkpoints = 0;
    const { checkpoint } = database.committer;
    database.committer.checkpoint = (payload) => (checkpoints++, checkpoint.call(database.committer, payload));
    for (let i = 0; i < 3; i++) await database.retention.relieve();
    expect(checkpoints).toBe(0);
  });

  test('H3: when not even a flush can shrink the log, writes get 53100 that names the table, and go on when it can', async () => {
    db.logBytesMax = 2 ** 21;
    await db.restart();
    const { database } = db.tiers;
    const lake = database.lake;
    let away = true;
    (database as { lake: unknown }).lake = new Proxy(lake, {
      get: (target, method: keyof typeof lake) =>
        method === 'writeFlush' && away ? () => Promise.reject(new Error('no space')) : target[method],
    });
    let now = 0;
    (database as { clock: unknown }).clock = {
      now: () => 0,
      monotonic: () => (now += 10_000),
      after: (_: number, callback: () => void) => (queueMicrotask(callback), () => undefined),
    };
    while (database.retention.zone !== 'red') await write('t', 200);
    await expect(database.admit()).rejects.toMatchObject({
      code: '53100',
      fields: { detail: expect.stringMatching(/kept for table "public"."t": its rows could not be written to disk: /) },
    });
    away = false;
    await database.admit();
    expect(database.retention.zone).not.toBe('red');
  });

  test('H3: an idle table does not hold the log, and a start does not miss what was trimmed', async () => {
    db.segmentBytes = 2 ** 17;
    await db.restart();
    const { database } = db.tiers;
    await createTable(database, tableDef('idle', noPartition));
    await write('idle', 1);
    await database.checkpoint();
    for (let i = 0; i < 20; i++) await write('t', 50);
    await database.checkpoint();
    expect(database.log.firstLsn).toBeGreaterThan(db.table('idle').committedLsn + 1);
    expect(database.log.stats().segments).toBe(1);
    await db.restart();
    expect((await db.rows(db.table('idle'))).length).toBe(1);
  });
});
