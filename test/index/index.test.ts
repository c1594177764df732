import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { INDEX_WORK_BYTES, indexCacheBytes, memoryBudget } from '../../src/memory-budget.ts';
import { SortSpace } from '../../src/storage/index/sort.ts';
import { BUILD_ROWS } from '../../src/storage/index/table-index.ts';
import { Oid } from '../../src/types/pg-type.ts';
import type { Value } from '../memory/values.ts';
import { IndexWorld, keyDef, type Rows } from './index-world.ts';

let world: IndexWorld | null = null;
afterEach(async () => {
  await world?.destroy();
  world = null;
});

/** Few values, so that keys meet; each type's own shape. */
const small = fc.integer({ min: -3, max: 40 });
const PART: Readonly<Record<number, fc.Arbitrary<Value>>> = {
  [Oid.int4]: small,
  [Oid.int8]: small.map((n): Value => [n, n < 0 ? -1 : n % 3]),
  [Oid.uuid]: small.map((n): Value => [n, n * 7, -n, 0x8000_0000 | n]),
  [Oid.text]: small.map((n): Value => (n % 2 === 0 ? `key ${n}` : 'k'.repeat(n + 4))),
  [Oid.numeric]: small.map((n): Value => [n, n >> 31, n >> 31, n >> 31]),
  [Oid.float8]: small.map((n): Value => (n === 0 ? -0 : n / 3)),
  [Oid.bool]: fc.boolean(),
};
const KEYS: readonly (readonly number[])[] = [
  [Oid.int4],
  [Oid.int8],
  [Oid.uuid],
  [Oid.text],
  [Oid.numeric],
  [Oid.float8],
  [Oid.int4, Oid.int8],
  [Oid.int8, Oid.text],
  [Oid.int4, Oid.bool, Oid.int4],
];

type Step =
  | { readonly kind: 'add'; readonly rows: Rows }
  | { readonly kind: 'remove'; readonly which: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'settle' };

function stepsOf(oids: readonly number[]): fc.Arbitrary<readonly Step[]> {
  const row = fc.tuple(...oids.map((oid) => fc.option(PART[oid]!, { freq: 20 })));
  const add = fc.array(row, { minLength: 1, maxLength: 60 }).map((rows): Step => ({ kind: 'add', rows }));
  const remove = fc.nat({ max: 100 }).map((which): Step => ({ kind: 'remove', which }));
  return fc.array(
    fc.oneof(
      { arbitrary: add, weight: 8 },
      { arbitrary: remove, weight: 2 },
      { arbitrary: fc.constant<Step>({ kind: 'restart' }), weight: 1 },
      { arbitrary: fc.constant<Step>({ kind: 'settle' }), weight: 3 },
    ),
    { maxLength: 25, size: 'max' },
  );
}

test.each(KEYS.map((oids) => [oids.map((oid) => oid).join(', '), oids] as const))(
  'H9: keys of types %s are found in the files that have them, through builds, merges, removals and restarts',
  async (_, oids) => {
    await fc.assert(
      fc.asyncProperty(stepsOf(oids), fc.array(fc.tuple(...oids.map((oid) => PART[oid]!))), async (steps, keys) => {
        const run = new IndexWorld(keyDef(oids));
        try {
          await run.open();
          let unit = 1;
          for (const step of steps) {
            if (step.kind === 'add') await run.add(unit++, step.rows);
            else if (step.kind === 'settle') await run.settled();
            else if (step.kind === 'restart') {
              await run.close();
              await run.open();
            } else {
              const units = [...run.files.keys()];
              if (units.length > 0) await run.remove(units[step.which % units.length]!);
            }
            const { said, so } = await run.compare(keys);
            expect(said).toEqual(so);
          }
          await run.settled();
          const all = [...run.files.values()].flatMap((file) => file.rows).filter((row) => !row.includes(null));
          const { said, so } = await run.compare([...keys, ...all]);
          expect(said).toEqual(so);
          expect(run.problems).toEqual([]);
        } finally {
          await run.destroy();
        }
      }),
      { numRuns: 8 },
    );
  },
  60_000,
);

const sequence = (from: number, count: number): Rows => Array.from({ length: count }, (_, i) => [[from + i, 0]]);

test('files built one after another end in few runs, and a restart knows them without reading a file', async () => {
  world = new IndexWorld(keyDef([Oid.int8]));
  await world.open();
  for (let unit = 1; unit <= 20; unit++) {
    await world.add(unit, sequence(unit * 100, 100));
    await world.settled();
  }
  // Merging goes on in the background, for as long as it takes.
  await expect.poll(async () => (await world!.core.stats(null)).runs, { timeout: 30_000 }).toBeLessThanOrEqual(12);
  await world.close();
  for (const file of world.files.values()) file.path = 'unreadable';
  await world.open();
  expect(world.covered.size).toBe(20);
  const { said, so } = await world.compare(sequence(0, 2200));
  expect(said).toEqual(so);
});

test('H9: what the index takes of memory is bounded by its share, 15 % of memory.limit, however many keys the files have', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 512, max: 262_144 }), (limitMb) => {
      const limit = limitMb * 2 ** 20;
      expect(indexCacheBytes(memoryBudget(limit)) + INDEX_WORK_BYTES).toBeLessThanOrEqual(limit * 0.15);
    }),
  );
  const cacheBytes = 2 ** 20;
  const keys = 400_000;
  world = new IndexWorld(keyDef([Oid.int8]));
  await world.open(cacheBytes);
  for (let unit = 1; unit <= 4; unit++)
    await world.add(
      unit,
      Array.from({ length: keys / 4 }, (_, i) => [[(Math.imul(i * 4 + unit, 0x9e37_79b1) >>> 0) % keys, 0]]),
    );
  await world.settled();
  const { said, so } = await world.compare(Array.from({ length: 3000 }, (_, i) => [[i * 133, 0]]));
  expect(said).toEqual(so);
  const stats = await world.core.stats(null);
  expect(stats.fileBytes).toBeGreaterThan(4 * cacheBytes);
  expect(stats.misses).toBeGreaterThan((2 * cacheBytes) / 4096); // pages have made room for others
  expect(stats.cacheBytes).toBeLessThanOrEqual(cacheBytes * 1.01);
  // beside the pages: what is sorted at once is a part of all keys, and its space goes with the last build
  const space = new SortSpace();
  const { entries, scratch } = space.of(BUILD_ROWS * 5);
  expect(entries.byteLength + scratch.byteLength).toBeLessThan(INDEX_WORK_BYTES / 2);
});

test('entries of files that are gone leave the disk', async () => {
  world = new IndexWorld(keyDef([Oid.uuid]));
  const key = (n: number): Value => [n, 0, 0, 0];
  await world.open();
  for (let unit = 1; unit <= 4; unit++)
    await world.add(
      unit,
      Array.from({ length: 5000 }, (_, i) => [key(unit * 5000 + i)]),
    );
  await world.settled();
  for (let unit = 1; unit <= 3; unit++) await world.remove(unit);
  for (;;) {
    const stats = await world.core.stats(null);
    if (stats.entries === 5000) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { said, so } = await world.compare(Array.from({ length: 25_000 }, (_, i) => [key(i)]));
  expect(said).toEqual(so);
});

test('equal keys on both sides of the ends of pages and groups are all found', async () => {
  world = new IndexWorld(keyDef([Oid.uuid]));
  await world.open();
  // 204 entries a page and 52,020 a group: runs of equal keys across both.
  const rows = Array.from({ length: 106_000 }, (_, i): Value[] => [[Math.floor(i / 700), 1, 2, 3]]);
  await world.add(1, rows);
  await world.settled();
  const { said, so } = await world.compare(Array.from({ length: 160 }, (_, i): Value[] => [[i, 1, 2, 3]]));
  expect(said.map((each) => each.length)).toEqual(so.map((each) => each.length));
  expect(said).toEqual(so);
});

test('whatever byte of a run or manifest is damaged: no wrong answer, a message with file and offset, and it is built again', async () => {
  const keys = sequence(0, 1500);
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), async (which, at, flip) => {
      const run = new IndexWorld(keyDef([Oid.int8]));
      try {
        await run.open();
        await run.add(1, sequence(0, 1000));
        await run.settled();
        await run.add(2, sequence(500, 900));
        await run.settled();
        await run.close();
        const names = readdirSync(run.tableDir);
        const path = join(run.tableDir, names[which % names.length]!);
        const bytes = readFileSync(path);
        bytes[at % bytes.length]! ^= flip;
        writeFileSync(path, bytes);
        await run.open();
        for (let i = 0; i < 2; i++) {
          const { said, so } = await run.compare(keys);
          expect(said).toEqual(so);
        }
        await run.settled();
        expect(run.problems.join()).toContain(path);
        expect(run.problems.join()).toMatch(/at offset \d+/);
        const { said, so } = await run.compare(keys);
        expect(said).toEqual(so);
        expect(so[600]).toHaveLength(2);
      } finally {
        await run.destroy();
      }
    }),
    { numRuns: 15 },
  );
}, 60_000);

test('H9: a run that loses its end, a lost run, a lost manifest and a lost secret cost time only', async () => {
  world = new IndexWorld(keyDef([Oid.text]));
  const rows: Rows = Array.from({ length: 3000 }, (_, i) => [`key ${i}`]);
  await world.open();
  await world.add(1, rows);
  await world.settled();
  const run = (): string =>
    join(
      world!.tableDir,
      readdirSync(world!.tableDir).find((name) => name.endsWith('.run'))!,
    );
  const damages: (() => void)[] = [
    () => writeFileSync(run(), readFileSync(run()).subarray(0, -5000)),
    () => rmSync(run()),
    () => rmSync(join(world!.tableDir, 'manifest')),
    () => writeFileSync(join(world!.dir, 'secret'), randomBytes(36)),
    () => rmSync(world!.dir, { recursive: true }),
  ];
  for (const damage of damages) {
    await world.close();
    damage();
    await world.open();
    await world.settled();
    const { said, so } = await world.compare(rows);
    expect(said).toEqual(so);
    expect(so[7]).toEqual(['1:7']);
  }
});

test('a run that is deleted under a running server is noticed, and its files are built again', async () => {
  world = new IndexWorld(keyDef([Oid.int8]));
  await world.open();
  await world.add(1, sequence(0, 1000));
  await world.settled();
  await world.close();
  await world.open();
  for (const name of readdirSync(world.tableDir)) rmSync(join(world.tableDir, name));
  const first = await world.compare(sequence(0, 10));
  expect(first.said).toEqual(first.so);
  await world.settled();
  const { said, so } = await world.compare(sequence(0, 10));
  expect(said).toEqual(so);
  expect(so[3]).toEqual(['1:3']);
});

test('a file that cannot be read stays uncovered and is tried again', async () => {
  world = new IndexWorld(keyDef([Oid.int8]));
  await world.open();
  await world.add(1, sequence(0, 10));
  await world.settled();
  world.files.set(2, { location: '/warehouse/2.parquet', path: 'gone', rows: sequence(5, 10) });
  await world.core.change({
    uuid: world.def.uuid,
    added: [{ unit: 2, location: '/warehouse/2.parquet', path: 'missing', rows: 10, local: true }],
    removed: [],
    moved: [],
  });
  const { said, so } = await world.compare(sequence(0, 20));
  expect(said).toEqual(so);
  expect(world.covered.has(2)).toBe(false);
  // The file has gone elsewhere, as a commit does: the index hears where.
  await world.core.change({
    uuid: world.def.uuid,
    added: [],
    removed: [],
    moved: [{ unit: 2, path: 'gone', local: true }],
  });
  await world.settled();
  const after = await world.compare(sequence(0, 20));
  expect(after.said).toEqual(after.so);
  expect(after.so[7]).toEqual(['1:7', '2:2']);
});

test('a run has room on the disk before it is written: so much at most, for builds and merges; without room the index waits and says so', async () => {
  world = new IndexWorld(keyDef([Oid.int8]));
  const asked: number[] = [];
  world.room = (bytes) => {
    asked.push(bytes);
    return false;
  };
  await world.open();
  await world.add(1, [[[1, 0]], [[2, 0]]]);
  while (world.problems.length === 0) await world.heard();
  expect(world.problems[0]).toContain('no space left in disk.limit for a run of 2 keys');
  expect(readdirSync(world.tableDir).filter((name) => name.endsWith('.run'))).toEqual([]);
  expect(world.covered.size).toBe(0);

  world.room = (bytes) => asked.push(bytes) > 0;
  asked.length = 0;
  for (let unit = 2; unit < 40; unit++) {
    const rows = Array.from({ length: 200 }, (_, i): Value[] => [[unit * 200 + i, 0]]);
    await world.add(unit, rows);
    await world.settled();
    const written = readdirSync(world.tableDir).filter((name) => name.endsWith('.run'));
    const largest = Math.max(...written.map((name) => statSync(join(world!.tableDir, name)).size));
    expect(largest).toBeLessThanOrEqual(Math.max(...asked));
  }
  expect(asked.length).toBeGreaterThan(38); // merges have asked, too
});
