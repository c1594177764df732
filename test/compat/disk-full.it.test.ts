/**
 * A full disk, on a file system of a few megabytes that is mounted for the test: the whole data directory, the log alone, the disk
 * tier alone. Needs the right to mount (root on Linux); elsewhere the tests are skipped.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { Book, connectTo, createTables, disagreements, RealLoad } from '../process/real-load.ts';
import { startServer } from '../process/server-process.ts';

const SETTINGS = {
  'wal.segment_size': '1MB',
  'flush.min_interval': '200ms',
  'iceberg.commit_interval': '1s',
  'iceberg.min_interval': '300ms',
};
const TOLERATED = ['40001', '40P01', '53100', '53200'];
const WAIT_MS = 45_000;
const mounted: string[] = [];

function mount(folder: string, size: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' });
  mounted.push(folder);
}

function whyNot(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'arka-mount-'));
  try {
    mount(folder, '1m');
    return null;
  } catch (error) {
    return `no file system can be mounted here: ${(error as Error).message.split('\n')[0]}`;
  }
}
const reason = whyNot();
if (reason !== null) console.log(`skipped: ${reason}`);

afterAll(() => {
  for (const folder of mounted) execFileSync('umount', ['-l', folder]);
});

/** Takes all room that is left. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (let bytes = 2 ** 20; bytes >= 4096; bytes /= 2) {
      const block = new Uint8Array(bytes);
      try {
        for (;;) if (writeSync(file, block) < bytes) break;
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

async function until(what: string, condition: () => boolean, book: Book): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !condition(); await sleep(20)) {
    expect(book.errors, `while waiting for ${what}`).toEqual([]);
    if (performance.now() > end)
      throw new Error(`${what} did not happen; refused: ${JSON.stringify([...book.refused])}`);
  }
}

describe.skipIf(reason !== null)('on a full disk', () => {
  test.each([
    ['the file system of the whole data directory', '.', '96m', false, '1MB'],
    ['the file system of the log', 'wal', '12m', false, '1MB'],
    ['the file system of the disk tier', 'disk', '24m', true, '1MB'],
  ])(
    'when %s is full, 53100 is the answer to what needs room, nothing acknowledged is lost, and all goes on after room is made',
    async (_, folder, size, writesGoOn, segment) => {
      const settings = { ...SETTINGS, 'wal.segment_size': segment };
      const dataDir = mkdtempSync(join(tmpdir(), 'arka-full-'));
      const small = join(dataDir, folder);
      mount(small, size);
      const book = new Book();
      {
        await using server = await startServer({ dataDir, settings });
        const client = await connectTo(server.url);
        await createTables(client);
        const load = new RealLoad(server.url, book, 1_000_000, TOLERATED);
        await load.start(true);
        await sleep(1000);

        fill(join(small, 'filling'));
        await until('53100', () => (book.refused.get('53100') ?? 0) > 3, book);
        if (writesGoOn) {
          const before = book.acknowledged;
          await until('a write beside the full disk tier', () => book.acknowledged > before + 50, book);
        }
        const { rows } = await client.query('SELECT count(*)::int AS count FROM accounts');
        expect(rows).toEqual([{ count: 8 }]);

        rmSync(join(small, 'filling'));
        const before = book.acknowledged;
        await until('a write after room was made', () => book.acknowledged > before + 100, book);
        await load.end();
        expect(book.errors).toEqual([]);
        expect(await disagreements(client, book), 'in the same process').toEqual([]);
        await client.query('CHECKPOINT');
        expect(await disagreements(client, book), 'after CHECKPOINT').toEqual([]);
        await client.end();
        await server.kill9();
      }
      await using server = await startServer({ dataDir, settings });
      const client = await connectTo(server.url);
      expect(await disagreements(client, book), 'after a restart').toEqual([]);
      await client.end();
    },
  );

  test('H3: a log that has taken its whole file system before anything was moved gets room by itself', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'arka-full-'));
    mount(join(dataDir, 'wal'), '12m');
    const rare = { 'flush.min_interval': '1h', 'iceberg.commit_interval': '1h', 'iceberg.min_interval': '1h' };
    await using server = await startServer({ dataDir, settings: { ...SETTINGS, ...rare } });
    const client = await connectTo(server.url);
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v text)');
    // three times what the log has room for
    for (let id = 0, refused = 0; id < 360;) {
      try {
        await client.query(`INSERT INTO t VALUES (${id}, repeat('x', 100000))`);
        id++;
        refused = 0;
      } catch (error) {
        expect(error).toMatchObject({ code: '53100' });
        expect(refused++, `refusals in a row at row ${id}`).toBeLessThan(600);
        await sleep(50);
      }
    }
    expect((await client.query('SELECT count(*)::int AS count FROM t')).rows).toEqual([{ count: 360 }]);
    await client.end();
  });

  test('a server that is killed while its disk is full has lost nothing; on the full disk it starts or says why it cannot', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'arka-full-'));
    mount(dataDir, '96m');
    const book = new Book();
    {
      await using server = await startServer({ dataDir, settings: SETTINGS });
      const client = await connectTo(server.url);
      await createTables(client);
      await client.end();
      const load = new RealLoad(server.url, book, 1_000_000, TOLERATED);
      await load.start(true);
      await sleep(1000);
      fill(join(dataDir, 'filling'));
      await until('53100', () => (book.refused.get('53100') ?? 0) > 3, book);
      load.ending();
      await server.kill9();
      await load.end();
    }
    for (const room of [false, true]) {
      if (room) rmSync(join(dataDir, 'filling'));
      // whether a start needs room depends on where the log ended
      const started = startServer({ dataDir, settings: SETTINGS });
      const why = room ? null : await started.then(() => null, String);
      if (why !== null) {
        expect(why).toMatch(/no space left on device|disk is full/);
        continue;
      }
      await using server = await started;
      const client = await connectTo(server.url);
      expect(await disagreements(client, book), room ? 'with room' : 'without room').toEqual([]);
      await client.end();
      await server.kill9();
    }
  });
});
