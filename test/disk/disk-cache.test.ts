/** Which copies of remote files are on the disk, by the books on main; the lake is a few counters here. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { CacheIndex } from '../../src/storage/disk/cache-index.ts';
import { cachedLocation, cachePath } from '../../src/storage/disk/cache-path.ts';
import { NO_USAGE } from '../../src/storage/disk/disk-usage.ts';
import { DiskCache } from '../../src/storage/disk/disk-cache.ts';

const file = (name: string, bytes = 10): { path: string; bytes: number } => ({ path: `/d/cache/${name}`, bytes });

/** @param sorted sorts are bounded, too */
function world(limit: number, sorted = false) {
  const fetched: string[] = [];
  const removed: string[] = [];
  const cancelled: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  let held = false;
  const own = { log: 0, staged: 0, coming: 0 };
  /** What DuckDB has put aside, and may. */
  const queries = { used: 0, bound: Number.POSITIVE_INFINITY };
  /** The same of sorts; unbounded until it is told. */
  const sorts = { used: 0, bound: Number.POSITIVE_INFINITY };
  const limitSorts = async (bytes: number): Promise<boolean> => {
    if (bytes < sorts.used) return false;
    sorts.bound = bytes;
    return true;
  };
  const cache = new DiskCache({
    dir: '/d/cache',
    limit,
    clock: systemClock,
    lake: {
      fetchFile: async (path) => {
        fetched.push(path.slice('/d/cache/'.length));
        if (held) {
          const gate = Promise.withResolvers<void>();
          gates.set(path, gate);
          await gate.promise;
        }
        return { path, bytes: 10 };
      },
      cancelFetch: async (path) => {
        cancelled.push(path.slice('/d/cache/'.length));
        gates.get(path)?.reject(new Error('cancelled'));
      },
      removeFiles: async (paths) => void removed.push(...paths.map((path) => path.slice('/d/cache/'.length))),
      fetchParts: () => Promise.reject(new Error('whole files alone')),
      diskUsage: () =>
        Promise.resolve({ ...NO_USAGE, spill: queries.used + sorts.used, queries: queries.used, sorts: sorts.used }),
    },
    limitSpill: async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (bytes < queries.used) return false;
      queries.bound = bytes;
      return true;
    },
    ...(sorted ? { limitSorts } : {}),
    warn: (error) => {
      throw error;
    },
  });
  cache.count(() => own);
  return {
    cache,
    own,
    queries,
    sorts,
    fetched,
    removed,
    cancelled,
    /** From now on a download ends when it is let go. */
    hold: () => (held = true),
    letGo: (name: string) => gates.get(`/d/cache/${name}`)!.resolve(),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

describe('a lease', () => {
  test('fetches what is not here, once, and what lies elsewhere never', async () => {
    const { cache, fetched } = world(100);
    cache.found(file('here'));
    const first = await cache.lease([file('here'), file('far'), file('far'), { path: '/d/disk/x.parquet' }]);
    const second = await cache.lease([file('far')]);
    expect(fetched).toEqual(['far']);
    first();
    second();
    expect(cache.parts).toMatchObject({ cache: 20, files: 2 });
  });

  test('shares a download that is under way', async () => {
    const { cache, fetched, hold, letGo, settle } = world(100);
    hold();
    const both = Promise.all([cache.lease([file('a')]), cache.lease([file('a')])]);
    await settle();
    expect(fetched).toEqual(['a']);
    letGo('a');
    await both;
  });

  test('that is cancelled gives 57014, and the download goes on for the others; without others it ends', async () => {
    const { cache, cancelled, hold, letGo, settle } = world(100);
    hold();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = cache.lease([file('a')], one.signal);
    const second = cache.lease([file('a'), file('b')], two.signal);
    await settle();
    one.abort();
    await expect(first).rejects.toMatchObject({ code: '57014' });
    expect(cancelled).toEqual([]);
    letGo('a');
    await settle();
    two.abort();
    await expect(second).rejects.toMatchObject({ code: '57014' });
    await settle();
    expect(cancelled).toEqual(['b']);
    expect(cache.parts).toMatchObject({ cache: 10, files: 1 });
  });

  test('after a cancelled download fetches anew, when the old one has ended', async () => {
    const { cache, fetched, hold, letGo, settle } = world(100);
    hold();
    const abort = new AbortController();
    const first = cache.lease([file('a')], abort.signal);
    await settle();
    abort.abort();
    await expect(first).rejects.toMatchObject({ code: '57014' });
    const second = cache.lease([file('a')]);
    await settle();
    expect(fetched).toEqual(['a', 'a']);
    letGo('a');
    (await second)();
    expect(cache.parts.files).toBe(1);
  });

  test('waits for room that another lease has, and takes it when that is given back', async () => {
    const { cache, removed, settle } = world(20);
    const first = await cache.lease([file('a'), file('b')]);
    let there = false;
    const second = cache.lease([file('c')]).then((release) => {
      there = true;
      return release;
    });
    await settle();
    expect(there).toBe(false);
    first();
    await second;
    expect(removed).toEqual(['a']);
  });

  test('waits for what the others have at the moment, reserved or written: not their need of a moment but the limit refuses it', async () => {
    const { cache, own, settle } = world(30);
    const giveBack = await cache.reserve(25);
    let there = false;
    const lease = cache.lease([file('a')]).then((release) => {
      there = true;
      return release;
    });
    await settle();
    expect(there).toBe(false);
    own.log = 25;
    giveBack();
    await settle();
    expect(there).toBe(false);
    own.log = 5;
    (await cache.claim(1))();
    await lease;
    await expect(cache.lease([file('b', 31)])).rejects.toMatchObject({ code: '53100' });
  });

  test('of two that each have a part of what the other needs, both get their turn', async () => {
    const { cache } = world(30);
    const files = ['a', 'b', 'c', 'd'].map((name) => file(name));
    const busy = await cache.lease([files[0]!, files[1]!]);
    const turns = [
      cache.lease([files[0]!, files[2]!, files[3]!]).then((release) => release()),
      cache.lease([files[1]!, files[2]!, files[3]!]).then((release) => release()),
    ];
    busy();
    await Promise.all(turns);
  });

  test('of more than can ever fit is 53100 that says how much there is', async () => {
    const { cache } = world(15);
    const failure = cache.lease([file('a'), file('b')]);
    await expect(failure).rejects.toMatchObject({
      code: '53100',
      fields: { detail: expect.stringContaining('20 bytes') },
    });
    (await cache.lease([file('a')]))();
  });
});

describe('the budget', () => {
  test('is one: when log and staged files grow the cache shrinks, and in the end writes are refused', async () => {
    const { cache, own, removed } = world(100);
    for (const name of ['a', 'b', 'c', 'd']) cache.found(file(name, 20));
    own.log = 50;
    (await cache.lease([file('e', 10)]))();
    expect(removed).toEqual(['a', 'b']);
    expect(cache.parts.used).toBeLessThanOrEqual(100);
    expect(cache.full).toBe(false);
    own.staged = 50;
    await new Promise((resolve) => systemClock.after(150, () => resolve(null)));
    expect(cache.full).toBe(true);
  });

  test('holds whatever is leased in whatever order, and no file in use is removed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat(11), { maxLength: 4 }), { maxLength: 30 }), async (scans) => {
        const { cache, removed } = world(60);
        const open: { release: () => void; names: string[] }[] = [];
        for (const scan of scans) {
          if (open.length === 1) open.shift()!.release();
          const names = [...new Set(scan)].map(String);
          const before = removed.length;
          open.push({ names, release: await cache.lease(names.map((name) => file(name))) });
          expect(removed.slice(before).filter((name) => open.some((one) => one.names.includes(name)))).toEqual([]);
          expect(cache.parts.cache).toBeLessThanOrEqual(60);
        }
      }),
    );
  });
});

test('one scan of everything leaves what is used all the time', () => {
  const index = new CacheIndex();
  const use = (path: string): void => {
    const again = index.has(path);
    if (!again) {
      index.evict(90, new Set());
      index.add(path, 10);
    }
    index.hold(path, again, 100);
    index.release(path);
  };
  for (let round = 0; round < 2; round++) for (const name of ['hot1', 'hot2', 'hot3']) use(name);
  for (let i = 0; i < 50; i++) use(`scan${i}`);
  expect(['hot1', 'hot2', 'hot3'].every((name) => index.has(name))).toBe(true);
  expect(index.bytes).toBeLessThanOrEqual(100);
});

describe('room (D4)', () => {
  test('copies give way to what is reserved before it is there, and are gone from the disk then; given back, it is the cache’s again', async () => {
    const { cache, removed } = world(100);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) cache.found(file(name));
    const giveBack = await cache.reserve(50);
    expect(removed).toEqual(['a', 'b', 'c']);
    expect(cache.parts).toMatchObject({ used: 50, reserved: 50, cache: 50 });
    giveBack();
    giveBack();
    expect(cache.parts).toMatchObject({ used: 50, reserved: 0 });
    (await cache.lease([file('i'), file('j')]))();
    expect(removed).toEqual(['a', 'b', 'c']);
  });

  test('what does not fit beside the others and the copies in use is 53100, and takes nothing; what frees the disk is not refused', async () => {
    const { cache, own } = world(100);
    own.log = 30;
    const release = await cache.lease([file('a', 10), file('b', 10)]);
    await expect(cache.reserve(55)).rejects.toMatchObject({ code: '53100', message: 'no space left in disk.limit' });
    expect(cache.parts.reserved).toBe(0);
    (await cache.reserve(50))();
    release();
    (await cache.reserve(55))();
    const giveBack = await cache.claim(80);
    expect(cache.full).toBe(true);
    giveBack();
    expect(cache.full).toBe(false);
  });

  test('rows in memory and the log’s next segment have their room: writes are refused and copies gone before they need it', async () => {
    const { cache, own } = world(100);
    cache.found(file('a', 40));
    Object.assign(own, { log: 40, staged: 10, coming: 45 });
    await cache.claim(0);
    expect(cache.parts).toMatchObject({ used: 50, reserved: 45, cache: 0 });
    expect(() => cache.admit()).not.toThrow();
    own.coming = 50;
    await cache.claim(0);
    expect(() => cache.admit()).toThrow(/no space left in disk.limit/);
    expect(cache.pressure).toBe(1); // commits are due long before
  });

  test('queries may put aside an eighth where all is taken, and no copy is in its place (D5); what others need they get of it, and it is the queries’ again', async () => {
    const { cache, own, queries, removed, settle } = world(800);
    for (let i = 0; i < 80; i++) cache.found(file(String(i)));
    const stop = cache.start();
    await cache.claim(0);
    const isBound = async (bytes: number): Promise<void> => {
      while (queries.bound !== bytes) await settle();
    };
    await isBound(100);
    expect(cache.parts).toMatchObject({ used: 700, reserved: 100, cache: 700 });
    expect(removed).toHaveLength(10);
    queries.used = 40;
    await cache.recount();
    expect(cache.parts).toMatchObject({ used: 740, spill: 40, reserved: 60 });
    own.log = 700; // half of the 100 that are left, or what there is: writes go on into the rest
    expect(() => cache.admit()).not.toThrow();
    await isBound(50);
    const giveBack = await cache.reserve(55);
    expect(queries.bound).toBe(40);
    await expect(cache.reserve(10)).rejects.toMatchObject({ code: '53100' });
    giveBack();
    own.log = 0;
    queries.used = 0;
    await cache.recount();
    const release = await cache.lease(Array.from({ length: 80 }, (_, i) => file(String(i))));
    expect(cache.parts).toMatchObject({ used: 800, cache: 800 });
    release();
    stop();
  });

  test('D5: they may put aside half of what is free, and no copy goes before they give that up', async () => {
    const { cache, queries, removed, settle } = world(800);
    for (let i = 0; i < 20; i++) cache.found(file(String(i)));
    const stop = cache.start();
    while (queries.bound !== 300) await settle();
    expect(cache.pressure).toBe(0); // no commit would give it back
    (await cache.lease(Array.from({ length: 40 }, (_, i) => file(`more ${i}`))))();
    expect(removed).toEqual([]);
    expect(cache.parts.cache).toBe(600);
    expect(queries.bound).toBe(100);
    stop();
  });

  test('D5: a bound that queries are beyond already is refused by DuckDB, and what was reserved for them stays', async () => {
    const { cache, queries, settle } = world(800);
    const stop = cache.start();
    while (Number.isFinite(queries.bound) === false) await settle();
    expect(queries.bound).toBe(400);
    queries.used = 390; // not counted yet
    await expect(cache.reserve(750)).rejects.toMatchObject({ code: '53100' });
    expect(queries.bound).toBe(400);
    expect(cache.parts.reserved).toBe(400);
    stop();
  });

  test('whatever is reserved, fetched and given back in whatever order, what is used and reserved stays within the limit', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('reserve' as const), bytes: fc.integer({ min: 1, max: 60 }) }),
      fc.record({ kind: fc.constant('lease' as const), name: fc.constantFrom('a', 'b', 'c', 'd', 'e') }),
      fc.record({ kind: fc.constant('giveBack' as const), which: fc.nat() }),
      fc.record({ kind: fc.constant('found' as const), name: fc.constantFrom('p', 'q', 'r') }),
      fc.record({ kind: fc.constant('spill' as const), bytes: fc.integer({ min: 1, max: 10 }) }),
      fc.record({ kind: fc.constant('end' as const) }),
      fc.record({ kind: fc.constant('count' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { cache, queries } = world(100);
        cache.start()();
        const held: (() => void)[] = [];
        const abort = new AbortController();
        abort.abort(); // a lease that would wait for room gives up
        for (const each of steps) {
          if (each.kind === 'spill') {
            if (Number.isFinite(queries.bound)) queries.used = Math.min(queries.bound, queries.used + each.bytes);
          } else if (each.kind === 'end') queries.used = 0;
          else if (each.kind === 'count') await cache.recount();
          else if (each.kind === 'giveBack') held.splice(each.which % (held.length + 1), 1)[0]?.();
          else if (each.kind === 'found') {
            const staged = await cache.reserve(10).catch(() => null);
            if (staged !== null) cache.found(file(each.name));
            staged?.();
          } else {
            const taken =
              each.kind === 'reserve'
                ? cache.reserve(each.bytes)
                : cache.parts.used + cache.parts.reserved <= 90
                  ? cache.lease([file(each.name)])
                  : cache.lease([file(each.name)], abort.signal);
            const giveBack = await taken.catch(() => null);
            if (giveBack !== null) held.push(giveBack);
          }
          expect(cache.parts.used + cache.parts.reserved).toBeLessThanOrEqual(100);
          // whether it has been counted or not
          expect(queries.used).toBeLessThanOrEqual(cache.parts.spill + cache.parts.reserved);
        }
      }),
    );
  });
});

describe('room that grows (D5, D6)', () => {
  const MB = 2 ** 20;
  const LIMIT = 1024 * MB;

  test('of writers, sorts and copies in whatever order all have what they were given within the limit, and at the end nothing is spoken for but what is always the sorts’', async () => {
    const which = fc.nat(2);
    const size = fc.integer({ min: 1, max: 300 }).map((megabytes) => megabytes * MB);
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom('keep' as const, 'hand over' as const), which, size }),
      fc.record({ kind: fc.constant('sort' as const), which, size }),
      fc.record({ kind: fc.constant('copy' as const), which, size }),
      fc.record({ kind: fc.constant('end' as const), which, size }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { cache, own, queries, sorts } = world(LIMIT, true);
        cache.start()();
        await cache.recount();
        const rooms = [0, 1, 2].map(() => cache.growing('Rows'));
        const sorting: (() => void)[] = [];
        for (const { kind, which: at, size: bytes } of steps) {
          if (kind === 'copy' && cache.parts.used + cache.parts.reserved + bytes <= LIMIT)
            cache.found(file(`c${at}`, bytes));
          if (kind === 'sort') sorting.push(await cache.sortRoom(bytes, false));
          if (kind === 'keep' || kind === 'hand over') {
            const refused = await Promise.resolve(rooms[at]!.need(bytes)).catch((error: unknown) => error);
            if (refused !== undefined) {
              expect(refused).toMatchObject({
                code: '53100',
                fields: { detail: expect.stringMatching(/Rows may take \d+ bytes more\.$/) },
              });
              continue;
            }
            if (kind === 'keep') rooms[at]!.keep(bytes);
            else {
              own.log += bytes;
              await Promise.resolve(rooms[at]!.written(bytes)).catch(() => undefined);
            }
          }
          if (kind === 'end') {
            rooms[at]!.end();
            rooms[at] = cache.growing('Rows');
            sorting.shift()?.();
          }
          await new Promise((resolve) => setImmediate(resolve));
          expect(cache.parts.used + cache.parts.reserved).toBeLessThanOrEqual(LIMIT);
          expect(sorts.bound).toBeLessThanOrEqual(cache.parts.reserved);
        }
        for (const room of rooms) room.end();
        for (const giveBack of sorting) giveBack();
        await new Promise((resolve) => setImmediate(resolve));
        const granted = Number.isFinite(queries.bound) ? queries.bound : 0;
        expect(cache.parts).toMatchObject({ reserved: LIMIT / 64 + granted, spill: 0 });
        expect(sorts.bound).toBe(LIMIT / 64);
      }),
    );
  });

  test('the sort of a flush has its room however full the disk is, a compaction’s only what is free', async () => {
    const { cache, own, sorts } = world(LIMIT, true);
    own.log = LIMIT;
    await cache.sortRoom(100 * MB, false);
    expect(sorts.bound).toBe(LIMIT / 64);
    const giveBack = await cache.sortRoom(100 * MB, true);
    expect(sorts.bound).toBe(LIMIT / 64 + 100 * MB);
    sorts.used = 50 * MB;
    giveBack(); // DuckDB has more than its part at the moment: it is told later
    await new Promise((resolve) => setImmediate(resolve));
    expect(sorts.bound).toBe(LIMIT / 64 + 100 * MB);
  });
});

describe('the place of a copy', () => {
  const part = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.constantFrom('', '.', '..', '%', '%25', '%+', 'x'.repeat(500), 'ä'.repeat(300), 'ts_day=2026-01-01', '.tmp'),
  );
  const location = fc
    .tuple(fc.stringMatching(/^[a-z0-9.-]{3,20}$/), fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([bucket, parts]) => `s3://${bucket}/${parts.join('/')}`);

  test('names its location, whatever the key is, and a file system takes it', () => {
    fc.assert(
      fc.property(location, (each) => {
        const path = cachePath('/d/cache', each);
        expect(cachedLocation('/d/cache', path)).toBe(each);
        const names = path.slice('/d/cache/'.length).split('/');
        for (const name of names) {
          expect(['', '.', '..']).not.toContain(name);
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        }
      }),
    );
  });

  test('is no other file’s: files elsewhere are not in the cache', () => {
    expect(cachedLocation('/d/cache', '/d/disk/x.parquet')).toBeNull();
    expect(cachedLocation('/d/cache', '/d/cache2/x')).toBeNull();
  });
});
