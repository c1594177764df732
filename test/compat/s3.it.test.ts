/** A warehouse on real S3 servers: the laws of the store, the way up and back, other engines, and a store that fails. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';
import { connectS3 } from '../../src/storage/iceberg/s3-client.ts';
import { s3Store } from '../../src/storage/iceberg/s3-store.ts';
import { registerLostListTests } from '../iceberg/lost-list-suite.ts';
import { registerObjectStoreTests } from '../iceberg/object-store-suite.ts';
import { cancelRequest, connect } from '../process/client.ts';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { type TableSum, tableSum } from './checksum.ts';
import { faultProxy, type FaultProxy } from './fault-proxy.ts';
import { python, readWithDuckDb, readWithPyIceberg } from './outside.ts';
import { freePort, KEYS, type RealS3, s3Servers, useForReaders } from './s3-servers.ts';

Object.assign(process.env, KEYS);

test.runIf(s3Servers.length === 0)('no S3 server is installed: setup.sh has said why', ({ skip }) => skip());

describe.each(s3Servers)('on $name', ({ name, start }) => {
  let s3: RealS3;
  let proxy: FaultProxy;
  let store: ObjectStore;
  beforeAll(async () => {
    s3 = await start();
    proxy = await faultProxy(s3.endpoint, random(1));
    store = s3Store(connectS3({ endpoint: s3.endpoint, region: '', pathStyle: true }, systemClock, Math.random));
    useForReaders(s3.endpoint);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });
  afterEach(() => {
    Object.assign(proxy.faults, { behaviour: 'pass', errors: 0, truncated: 0, lost: 0, bytesPerSecond: 0 });
  });

  registerObjectStoreTests(name, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'arka-s3-'));
    const localFile = (bytes: Uint8Array): { path: string; remove: () => void } => {
      const path = join(dir, 'source');
      writeFileSync(path, bytes);
      return { path, remove: () => rmSync(path) };
    };
    return { store, root: `s3://arka/suite/${systemClock.now()}-${Math.random()}`, localFile };
  });

  registerLostListTests(`${name} S3`, () => ({
    store,
    settings: {
      warehouse: `s3://arka/lost-list-${systemClock.now()}`,
      s3: { endpoint: s3.endpoint, region: '', pathStyle: true },
    },
  }));

  test('a file of several parts arrives whole, also through a store that fails now and then', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'arka-s3-')), 'large');
    const bytes = Buffer.alloc(30 * 2 ** 20 + 17, 'every part is another part of this');
    for (let at = 0; at < bytes.length; at += 4096) bytes.writeUInt32LE(at, at);
    writeFileSync(path, bytes);
    Object.assign(proxy.faults, { errors: 0.2, lost: 0.1, truncated: 0.2 });
    const through = s3Store(
      connectS3({ endpoint: proxy.endpoint, region: '', pathStyle: true }, systemClock, Math.random),
    );
    await through.putFile('s3://arka/large', path);
    expect(Buffer.from(await through.get('s3://arka/large')).equals(bytes)).toBe(true);
    expect(await store.head('s3://arka/large')).toMatchObject({ bytes: bytes.length });
    expect(proxy.counts.faults).toBeGreaterThan(0);
  });

  test('more objects than one page holds are listed, and deleted in batches', async () => {
    const locations = Array.from({ length: 1100 }, (_, i) => `s3://arka/many/${i}`);
    const rest = locations.values();
    const put = async (): Promise<void> => {
      for (const location of rest) await store.put(location, Uint8Array.of(1));
    };
    await Promise.all(Array.from({ length: 16 }, put));
    const listed: string[] = [];
    for await (const object of store.list('s3://arka/many')) listed.push(object.location);
    expect(listed.toSorted()).toEqual(locations.toSorted());
    await store.deleteBelow('s3://arka/many');
    for await (const object of store.list('s3://arka/many')) expect(object).toBeNull();
  });

  describe('a server with its warehouse there', () => {
    let server: ServerProcess;
    let client: Client;
    const warehouse = `s3://arka/warehouse ${name}`;
    const begin = async (dataDir?: string, settings: Record<string, string> = {}): Promise<void> => {
      server = await startServer({
        ...(dataDir === undefined ? {} : { dataDir }),
        args: ['--warehouse', warehouse],
        settings: { 's3.endpoint': proxy.endpoint, 'iceberg.refresh_interval': '500ms', ...settings },
      });
      client = await connectUtc(server);
    };
    const again = async (keep: (name: string) => boolean, settings: Record<string, string> = {}): Promise<void> => {
      await client.end();
      await server.stop();
      const { dataDir } = server;
      for (const each of readdirSync(dataDir)) if (!keep(each)) rmSync(join(dataDir, each), { recursive: true });
      await begin(dataDir, settings);
    };
    beforeAll(async () => begin(mkdtempSync(join(tmpdir(), 'arka-s3-'))));
    afterAll(async () => {
      await client?.end().catch(() => {});
      await server?.stop();
    });

    test('rows loaded, changed and committed are the same after all of the data directory but the catalog is gone', async () => {
      await client.query(`CREATE TABLE flights (id bigint PRIMARY KEY, ts timestamptz NOT NULL, carrier text, delay int)
        WITH (time_column = 'ts', partition_by = 'month(ts)', sort_by = 'ts')`);
      await insertFlights(client, 1, 20_000);
      await client.query('CHECKPOINT');
      await client.query('UPDATE flights SET delay = delay + 1000 WHERE id % 7 = 0');
      await client.query('DELETE FROM flights WHERE id % 11 = 0');
      await client.query('CHECKPOINT');
      const before = await readFlights(client);
      expect(before.rows).toBe(20_000 - 1818);
      await again((each) => each === 'catalog.db');
      expect(await filesBelow(server, 'cache')).not.toHaveLength(0); // delete files: they are read at start
      expect(await readFlights(client)).toEqual(before);
      const { rows } = await client.query(`SELECT carrier FROM flights WHERE id = 20`);
      expect(rows).toEqual([{ carrier: 'c7' }]);
      await again((each) => each !== 'cache');
      expect(await readFlights(client)).toEqual(before);
    });

    test('PyIceberg and DuckDB read the same rows', async () => {
      const here = await readFlights(client);
      expect(await readWithPyIceberg(server.dataDir, 'public.flights')).toEqual(here);
      const { rows } = await client.query(`SELECT arka.metadata_location('public.flights') AS at`);
      const at = (rows[0] as { at: string }).at;
      expect(at).toMatch(/^s3:\/\/arka\//);
      expect(await readWithDuckDb(at)).toEqual(here);
    });

    test('rows that PyIceberg appends and deletes are fetched when they are read', async () => {
      await client.query('CREATE TABLE shared (id bigint PRIMARY KEY, v int)');
      await client.query('INSERT INTO shared VALUES (1, 10), (2, 20), (3, 30)');
      await client.query('CHECKPOINT');
      await python('append_pyiceberg.py', [join(server.dataDir, 'catalog.db'), 'public.shared', '10', '14', '2']);
      await expect.poll(async () => count(client, 'shared'), { timeout: 20_000 }).toBe(7);
      await expect(client.query('INSERT INTO shared VALUES (13, 0)')).rejects.toMatchObject({ code: '23505' });
      await client.query('UPDATE shared SET v = v + 1 WHERE id IN (1, 12)');
      await client.query('CHECKPOINT');
      expect((await readWithPyIceberg(server.dataDir, 'public.shared')).rows).toBe(7);
    });

    test('a store that fails now and then is not noticed', async () => {
      Object.assign(proxy.faults, { errors: 0.15, lost: 0.05, truncated: 0.1 });
      const faults = proxy.counts.faults;
      for (let i = 0; i < 5; i++) {
        await insertFlights(client, 30_001 + i * 100, 30_100 + i * 100);
        await client.query('UPDATE flights SET carrier = NULL WHERE id % 1000 = 1');
        await client.query('CHECKPOINT');
      }
      const before = await readFlights(client);
      await again((each) => each === 'catalog.db');
      expect(await readFlights(client)).toEqual(before);
      expect(proxy.counts.faults).toBeGreaterThan(faults);
    });

    test('while the store is away writes go on and CHECKPOINT is 58030; when it is back, commits follow', async () => {
      await again(() => true, { 'iceberg.commit_interval': '1s', 'iceberg.min_interval': '1s' });
      proxy.faults.behaviour = 'away';
      const before = await count(client, 'flights');
      await insertFlights(client, 40_001, 41_000);
      const failure = await client.query('CHECKPOINT').catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: '58030' });
      expect((failure as Error).message).toContain(`of bucket "arka" at ${proxy.endpoint}: ECONNRESET`);
      await insertFlights(client, 41_001, 42_000);
      await client.query(`CALL arka.flush('public.flights')`);
      await insertFlights(client, 42_001, 43_000);
      expect(await count(client, 'flights')).toBe(before + 3000);
      proxy.faults.behaviour = 'pass';
      const staged = `SELECT sum(rows)::int AS rows FROM arka.tiers WHERE table_name = 'flights' AND tier <> 'iceberg'`;
      await expect.poll(async () => (await client.query(staged)).rows, { timeout: 60_000 }).toEqual([{ rows: 0 }]);
      const here = await readFlights(client);
      expect(here.rows).toBe(before + 3000);
      expect(await readWithPyIceberg(server.dataDir, 'public.flights')).toEqual(here);
    });

    test('VACUUM FULL and VACUUM merge files, and what nobody needs any more leaves the bucket', async () => {
      await again(() => true, { 'iceberg.keep_snapshots': '1', 'iceberg.file_grace': '1ms' });
      await client.query(`CREATE TABLE merged (id bigint PRIMARY KEY, v int) WITH (partition_by = 'bucket(2, id)')`);
      let rows = 0;
      for (let i = 0; i < 4; i++) {
        await client.query(`INSERT INTO merged SELECT g, g FROM generate_series(${i * 500 + 1}, ${i * 500 + 500}) g`);
        await client.query(`DELETE FROM merged WHERE id % 50 = ${i}`);
        rows = await count(client, 'merged');
        await client.query('CHECKPOINT');
      }
      const inBucket = async (kind: RegExp): Promise<string[]> => {
        const found: string[] = [];
        for await (const { location } of store.list(`${warehouse}/public/`))
          if (location.includes('/merged-') && kind.test(location)) found.push(location);
        return found;
      };
      expect((await inBucket(/arka-partition-deletes-/)).length).toBeGreaterThan(0);
      await client.query('VACUUM FULL merged');
      expect(await count(client, 'merged')).toBe(rows);
      expect((await readWithPyIceberg(server.dataDir, 'public.merged')).rows).toBe(rows);
      await client.query('UPDATE merged SET v = 0 WHERE id % 100 = 7');
      await client.query('CHECKPOINT');
      await client.query('VACUUM merged');
      // two merged files, and of each partition that was updated one file and its deletes
      const updated = await client.query(`SELECT count(*)::int AS files FROM arka.units WHERE table_name = 'merged'`);
      const { files } = updated.rows[0] as { files: number };
      await expect
        .poll(
          async () => (await inBucket(/\/data\/.*\.parquet$/)).filter((each) => !each.includes('deletes-')).length,
          { timeout: 20_000 },
        )
        .toBe(files);
      const here = await client.query('SELECT sum(v)::text AS sum FROM merged');
      await again((each) => each === 'catalog.db');
      expect(await count(client, 'merged')).toBe(rows);
      expect((await client.query('SELECT sum(v)::text AS sum FROM merged')).rows).toEqual(here.rows);
    });

    test('compaction runs by itself, beside writers, through a store that fails now and then', async () => {
      await again(() => true, {
        'iceberg.max_small_files': '4',
        'iceberg.min_interval': '500ms',
        'iceberg.commit_interval': '1s',
      });
      await client.query('CREATE TABLE compacted (id bigint PRIMARY KEY, v int)');
      Object.assign(proxy.faults, { errors: 0.1, lost: 0.05, truncated: 0.05 });
      const compactions = `SELECT count(*)::int AS n FROM arka.commits WHERE table_name LIKE '%compacted' AND trigger = 'max_small_files'`;
      let id = 0;
      await expect
        .poll(
          async () => {
            await client.query(`INSERT INTO compacted SELECT g, 0 FROM generate_series(${id + 1}, ${id + 100}) g`);
            id += 100;
            await client.query(`UPDATE compacted SET v = v + 1 WHERE id % 10 = 3`);
            await client.query('CHECKPOINT');
            return ((await client.query(compactions)).rows[0] as { n: number }).n;
          },
          { timeout: 60_000, interval: 100 },
        )
        .toBeGreaterThan(0);
      Object.assign(proxy.faults, { errors: 0, lost: 0, truncated: 0 });
      const before = await client.query('SELECT count(*)::text AS n, sum(v)::text AS sum FROM compacted');
      expect((before.rows[0] as { n: string }).n).toBe(String(id));
      await client.query('CHECKPOINT');
      expect((await readWithPyIceberg(server.dataDir, 'public.compacted')).rows).toBe(id);
      await again((each) => each === 'catalog.db');
      expect((await client.query('SELECT count(*)::text AS n, sum(v)::text AS sum FROM compacted')).rows).toEqual(
        before.rows,
      );
    });

    test('a server whose store is away at its start says 57P03 until it is back, and then has every row', async () => {
      await client.query('INSERT INTO flights VALUES (900001, now(), $1, 1)', ['only in the log']);
      const before = await count(client, 'flights');
      const { dataDir } = server;
      await client.end();
      await server.kill9();
      proxy.faults.behaviour = 'away';
      const port = await freePort();
      const starting = startServer({
        dataDir,
        args: ['--warehouse', warehouse, '--port', String(port)],
        settings: { 's3.endpoint': proxy.endpoint },
        readyTimeoutMs: 120_000,
      });
      const knock = async (): Promise<unknown> => {
        const knocking = new Client({ connectionString: `postgresql://arka@127.0.0.1:${port}/arka` });
        knocking.on('error', () => {});
        try {
          return await knocking.connect();
        } catch (error) {
          return error;
        } finally {
          await knocking.end().catch(() => {});
        }
      };
      await expect.poll(knock, { timeout: 60_000 }).toMatchObject({
        code: '57P03',
        message: `the database system is starting up: waiting for ${warehouse}`,
      });
      proxy.faults.behaviour = 'pass';
      server = await starting;
      expect(server.stderr()).toContain(`the start waits for ${warehouse}`);
      client = await connectUtc(server);
      expect(await count(client, 'flights')).toBe(before);
    });

    test('a cache smaller than the table gives right answers within disk.limit, and 53100 to what cannot fit', async () => {
      await client.query(`CREATE TABLE wide (id bigint PRIMARY KEY, ts date NOT NULL, v text)
        WITH (time_column = 'ts', partition_by = 'day(ts)')`);
      for (let part = 0; part < 6; part++)
        await client.query(`INSERT INTO wide SELECT g, date '2026-01-01' + ${part}, md5(g::text) || md5((g * 31)::text) || md5((g * 17)::text)
          FROM generate_series(${part * 10_000}, ${part * 10_000 + 9999}) g`);
      await client.query('CHECKPOINT');
      const { rows } = await client.query<{ bytes: string }>(
        `SELECT max(bytes) AS bytes FROM arka.units WHERE table_name = 'wide'`,
      );
      const file = Number(rows[0]!.bytes);
      const limit = Math.floor(file * 3.5) + 3 * 65_536;
      await again((each) => each === 'catalog.db', { 'disk.limit': String(limit) + 'B', 'wal.segment_size': '64kB' });
      for (const part of [0, 1, 2, 3, 4, 5, 0, 5, 2]) {
        const found = await client.query(`SELECT count(*)::int AS n, min(id)::int AS first FROM wide
          WHERE ts = '2026-01-0${part + 1}'`);
        expect(found.rows).toEqual([{ n: 10_000, first: part * 10_000 }]);
        // The index is being made again meanwhile, and sorts in files of its own for a moment.
        const used = async (): Promise<number> =>
          Number((await client.query<{ used: string }>('SELECT used_bytes AS used FROM arka.disk')).rows[0]!.used);
        await expect.poll(used, { timeout: 20_000 }).toBeLessThanOrEqual(limit);
      }
      await expect(client.query('SELECT sum(length(v)) FROM wide')).rejects.toMatchObject({ code: '53100' });
      await client.query('DROP TABLE wide');
    });

    test('a statement that waits for a slow download can be cancelled, and leaves nothing behind', async () => {
      await again((each) => each === 'catalog.db');
      proxy.faults.bytesPerSecond = 1000;
      const slow = await connectUtc(server);
      const waiting = slow.query('SELECT sum(id) FROM flights').catch((error: unknown) => error);
      await expect
        .poll(async () => (await filesBelow(server, 'cache/.tmp')).length, { timeout: 20_000 })
        .toBeGreaterThan(0);
      await cancelRequest(slow);
      expect(await waiting).toMatchObject({ code: '57014' });
      // The key index, which is made again, may want the same file: then its download goes on.
      proxy.faults.bytesPerSecond = 0;
      expect(await count(slow, 'flights')).toBeGreaterThan(0);
      await expect.poll(() => filesBelow(server, 'cache/.tmp'), { timeout: 20_000 }).toEqual([]);
      await slow.end();
    });

    test.each([
      ['an INSERT that looks for its key', `INSERT INTO flights VALUES (20, now(), 'again', 1)`, '23505'],
      ['a SELECT by key', 'SELECT carrier FROM flights WHERE id = 20', 1],
    ])(
      '%s in files that are on their way can be cancelled, and its transaction rolled back',
      async (_, sql, outcome) => {
        await again((each) => each === 'catalog.db');
        proxy.faults.bytesPerSecond = 1000;
        const slow = await connectUtc(server);
        await slow.query('BEGIN');
        const waiting = slow.query(sql).catch((error: unknown) => error);
        await expect
          .poll(async () => (await filesBelow(server, 'cache/.tmp')).length, { timeout: 20_000 })
          .toBeGreaterThan(0);
        await cancelRequest(slow);
        expect(await waiting).toMatchObject({ code: '57014' });
        await slow.query('ROLLBACK');
        proxy.faults.bytesPerSecond = 0;
        const result = await slow.query(sql).then(
          ({ rowCount }) => rowCount,
          (error: { code: string }) => error.code,
        );
        expect(result).toBe(outcome);
        await slow.end();
      },
    );
  });
});

async function connectUtc(server: ServerProcess): Promise<Client> {
  const client = await connect(server.url);
  await client.query("SET TIME ZONE 'UTC'");
  return client;
}

const FLIGHTS = { id: 'bigint', ts: 'timestamptz', carrier: 'text', delay: 'integer' } as const;

async function insertFlights(client: Client, from: number, to: number): Promise<void> {
  await client.query(`INSERT INTO flights SELECT g, timestamptz '2026-01-01 00:00:00+00' + g * interval '7 minutes',
    'c' || g % 13, g % 97 - 20 FROM generate_series(${from}, ${to}) g`);
}

async function readFlights(client: Client): Promise<TableSum> {
  const types = { getTypeParser: () => (value: string) => value };
  const text = `SELECT ${Object.keys(FLIGHTS).join(', ')} FROM flights`;
  const { rows } = await client.query<(string | null)[]>({ text, rowMode: 'array', types });
  return tableSum(FLIGHTS, rows);
}

async function count(client: Client, table: string): Promise<number> {
  const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
  return Number(rows[0]!.n);
}

async function filesBelow(server: ServerProcess, folder: string): Promise<string[]> {
  try {
    const entries = readdirSync(join(server.dataDir, folder), { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** The same faults in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
