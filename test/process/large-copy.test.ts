/** H1: a COPY of more rows than memory holds is one transaction, whole after a kill -9 right behind its end, or not there at all. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, expect, test } from 'vitest';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-large-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

/** Slabs take 96 MB of it. */
const settings = { 'memory.limit': '768MB' };
const ROWS_PER_BLOCK = 2000;
const BLOCKS = 350;
const NAME = 'n'.repeat(200);
const files = (): number => readdirSync(join(dataDir, 'disk')).filter((name) => name.endsWith('.parquet')).length;

/** Sends rows from `first` on; `sent` is called after each block. Resolves with COPY's end. */
async function copy(client: Client, first: number, blocks: number, sent: (block: number) => void): Promise<void> {
  const stream = client.query(copyFrom('COPY t FROM STDIN'));
  const ended = new Promise<void>((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
  });
  ended.catch(() => {});
  for (let block = 0; block < blocks; block++) {
    let text = '';
    for (let i = 0; i < ROWS_PER_BLOCK; i++) text += `${first + block * ROWS_PER_BLOCK + i}\t${block}\t${NAME}\n`;
    if (!stream.write(text)) await Promise.race([ended, new Promise<void>((resolve) => stream.once('drain', resolve))]);
    sent(block);
  }
  stream.end();
  await ended;
}

async function found(client: Client): Promise<unknown> {
  const { rows } = await client.query(
    'SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids, max(v) AS last FROM t',
  );
  return rows[0];
}

test('a COPY larger than memory is there whole after a kill -9 behind its end, and not at all after one in the middle', async () => {
  {
    await using server = await startServer({ dataDir, settings });
    const client = await connect(server.url);
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v int, name text)');
    const killed: Promise<unknown>[] = [];
    await copy(client, 0, BLOCKS, (block) => {
      if (block >= 250 && killed.length === 0 && files() > 0) killed.push(server.kill9());
    }).catch(() => {});
    expect(killed.length).toBe(1);
    await killed[0];
  }
  {
    await using server = await startServer({ dataDir, settings });
    expect(files()).toBe(0);
    const client = await connect(server.url);
    expect(await found(client)).toEqual({ n: 0, ids: 0, last: null });
    await copy(client, 0, BLOCKS, () => {});
    await server.kill9();
  }
  await using server = await startServer({ dataDir, settings });
  const client = await connect(server.url);
  const whole = { n: BLOCKS * ROWS_PER_BLOCK, ids: BLOCKS * ROWS_PER_BLOCK, last: BLOCKS - 1 };
  expect(await found(client)).toEqual(whole);
  await expect(client.query(`INSERT INTO t VALUES (${ROWS_PER_BLOCK + 3}, 0, '')`)).rejects.toMatchObject({
    code: '23505',
  });
  await client.query('CHECKPOINT');
  expect(await found(client)).toEqual(whole);
  await client.end();
}, 240_000);
