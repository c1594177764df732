/** C10: a file is written when its bytes and its name are synced, and nothing speaks of it before. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type * as files from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createEngine } from '../../src/federation/engine.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { writeRoles } from '../../src/storage/disk/roles-file.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { tableDef, TestSlabs, vectorOf } from '../federation/units.ts';

/** What files have gone through, in order: `sync PATH`, `name PATH`. */
const done: string[] = [];
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof files>();
  const named = async (work: Promise<void>, path: unknown): Promise<void> => {
    await work;
    done.push(`name ${String(path)}`);
  };
  const open = async (path: string, ...how: []): Promise<files.FileHandle> => {
    const file = await real.open(path, ...how);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      await sync();
      done.push(`sync ${path}`);
    };
    return file;
  };
  return {
    ...real,
    open,
    rename: (from: string, to: string) => named(real.rename(from, to), `${to} from ${from}`),
    link: (from: string, to: string) => named(real.link(from, to), `${to} from ${from}`),
  };
});

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'arka-synced-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => void done.splice(0));

/** When it is answered: the bytes were synced before the name was given, and the name after it, in its folder. */
function expectDurable(path: string): void {
  const given = done.findLastIndex((each) => each.startsWith(`name ${path} from `));
  expect(given, `${path} has its name`).toBeGreaterThanOrEqual(0);
  const from = done[given]!.slice(`name ${path} from `.length);
  const before = done.slice(0, given);
  expect(before, 'the bytes before the name').toContain(`sync ${from}`);
  expect(done.slice(given + 1), 'the name before the answer').toContain(`sync ${dirname(path)}`);
}

test('C10: a Parquet file of the engine is answered for once its bytes and its name are synced', async () => {
  const engine = createEngine();
  await engine.open({ memoryLimitBytes: 500e6, threads: 1, tempDir: join(folder, 'tmp') });
  try {
    const slabs = new TestSlabs((slab) => engine.addSlab(slab));
    const type = { oid: Oid.int8, typmod: -1 };
    const def = tableDef([type]);
    const rows = [1n, 2n, 3n];
    const unit = slabs.unit(1, [1], [{ rows: rows.length, vectors: [vectorOf(type, rows)] }]);
    const path = join(folder, 'written.parquet');
    expect(await engine.writeParquet({ def, memory: [unit], files: [], path })).toMatchObject({ rows: 3 });
    expectDurable(path);
    const deletes = join(folder, 'deletes.parquet');
    await engine.writePositionDeletes({
      path: deletes,
      deletes: [{ location: 'file:///f.parquet', positions: Uint32Array.of(1, 2) }],
    });
    expectDurable(deletes);
  } finally {
    await engine.shutdown(null);
  }
});

test.each(['put', 'putAll', 'putIfAbsent', 'putFile'] as const)(
  'C10: an object of a local warehouse is there durably, with the folders that were made for it: %s',
  async (method) => {
    const store = localStore();
    const path = join(folder, method, 'data', 'object');
    const location = `file://${path}`;
    const bytes = Uint8Array.of(1, 2, 3);
    const source = join(folder, 'source');
    writeFileSync(source, bytes);
    if (method === 'putAll') await store.putAll([{ location, bytes }]);
    else if (method === 'putFile') await store.putFile(location, source);
    else await store[method](location, bytes);
    expectDurable(path);
    for (const made of [join(folder, method), join(folder, method, 'data')])
      expect(done, 'the folder in its parent').toContain(`sync ${dirname(made)}`);
  },
);

test('C10: the file of rights is the one before or the new one, whole, whenever the power goes', async () => {
  const dataDir = join(folder, 'roles');
  mkdirSync(dataDir);
  await writeRoles(dataDir, 'text');
  expectDurable(join(dataDir, 'roles'));
});
