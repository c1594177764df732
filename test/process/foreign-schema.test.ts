/** Columns that another engine adds, renames, widens and drops: taken over while the server runs, and by rows of the log at a start. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { parseJson, stringifyJson } from '../../src/storage/iceberg/json.ts';
import type { TableMetadata } from '../../src/storage/iceberg/metadata.ts';
import type { SchemaField } from '../../src/storage/iceberg/schema-json.ts';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-foreign-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

/** A commit of the schema alone, as another client of the catalog makes it. */
function evolve(
  table: string,
  change: (fields: readonly SchemaField[], nextId: number) => readonly SchemaField[],
): void {
  const db = new DatabaseSync(join(dataDir, 'catalog.db'), { timeout: 10_000 });
  try {
    for (;;) {
      const row = db.prepare('SELECT metadata_location AS at FROM iceberg_tables WHERE table_name = ?').get(table)!;
      const at = row['at'] as string;
      const path = at.replace('file://', '');
      const before = parseJson(readFileSync(path, 'utf8')) as TableMetadata;
      const now = before.schemas.find((each) => each['schema-id'] === before['current-schema-id'])!;
      const schemaId = Math.max(...before.schemas.map((each) => each['schema-id'])) + 1;
      const fields = change(now.fields, before['last-column-id'] + 1);
      const after = {
        ...before,
        'last-updated-ms': before['last-updated-ms'] + 1,
        'last-column-id': Math.max(before['last-column-id'], ...fields.map(({ id }) => id)),
        'current-schema-id': schemaId,
        schemas: [...before.schemas, { ...now, 'schema-id': schemaId, fields }],
      };
      const next = path.replace(/[^/]*$/, `${String(Date.now())}-foreign-${schemaId}.metadata.json`);
      writeFileSync(next, stringifyJson(after));
      const { changes } = db
        .prepare('UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ? AND metadata_location = ?')
        .run(`file://${next}`, table, at);
      if (changes === 1) return;
    }
  } finally {
    db.close();
  }
}

type Rows = (sql: string) => Promise<unknown[]>;

async function life(work: (rows: Rows, other: Client) => Promise<void>): Promise<void> {
  await using server = await startServer({ dataDir, settings: { 'iceberg.refresh_interval': '50ms' } });
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {}); // the server is killed under it
  const other = new Client({ connectionString: server.url });
  other.on('error', () => {});
  await client.connect();
  await other.connect();
  try {
    await work(async (sql) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows, other);
  } finally {
    await server.kill9();
    await client.end().catch(() => {});
    await other.end().catch(() => {});
  }
}

async function untilKnown(rows: Rows, sql: string): Promise<unknown[]> {
  for (;;) {
    const found = await rows(sql).catch((error: { code: string }) => {
      if (error.code !== '42703') throw error;
      return null;
    });
    if (found !== null) return found;
  }
}

test('columns that another engine has changed are so here, for rows in Iceberg, on disk and in memory', async () => {
  await life(async (rows, other) => {
    await rows('CREATE TABLE f (id int PRIMARY KEY, v int, name text)');
    await rows(`INSERT INTO f VALUES (1, 10, 'a'), (-2, 20, 'b')`);
    await rows('CHECKPOINT');
    await rows(`INSERT INTO f VALUES (3, 30, 'c')`);
    await rows(`CALL arka.flush('f')`);
    await rows(`INSERT INTO f VALUES (4, 40, 'd')`);
    await rows('DELETE FROM f WHERE id = 1');
    await other.query('BEGIN; SELECT * FROM f'); // nobody waits for long behind it
    evolve('f', (fields, id) => [
      ...fields.map((field) => (field.name === 'v' ? { ...field, name: 'w', type: 'long' } : field)),
      { id, name: 'extra', required: false, type: 'string' },
    ]);
    for (let i = 0; i < 50; i++) expect(await rows('SELECT count(*)::int FROM f')).toEqual([[3]]);
    await other.query('COMMIT');
    expect(await untilKnown(rows, 'SELECT id, w, name, extra FROM f ORDER BY id')).toEqual([
      [-2, '20', 'b', null],
      [3, '30', 'c', null],
      [4, '40', 'd', null],
    ]);
    const known = `SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'f'::regclass AND attnum > 0 ORDER BY attnum`;
    expect(await rows(known)).toEqual([
      ['id', 'integer'],
      ['w', 'bigint'],
      ['name', 'text'],
      ['extra', 'text'],
    ]);
    await rows(`INSERT INTO f VALUES (5, 5000000000, 'e', 'more')`);
    await rows(`UPDATE f SET w = w + 1 WHERE id IN (-2, 4)`);
    // what is changed here next is changed on top of it
    await rows('ALTER TABLE f ADD COLUMN own int');
    expect(await rows('SELECT * FROM f WHERE id = 5')).toEqual([[5, '5000000000', 'e', 'more', null]]);
    await rows(`INSERT INTO f VALUES (6, 60, 'log', 'log', 6), (7, 70, 'gone', 'gone', 7)`);
    await rows('DELETE FROM f WHERE id = 7');
    await rows('DELETE FROM f WHERE id = 3');
  });
  // rows of the log meet another schema
  evolve('f', (fields, id) => [
    ...fields
      .filter(({ name }) => name !== 'name')
      .map((field) => (field.name === 'own' ? { ...field, name: 'mine', type: 'long' } : field)),
    { id, name: 'name', required: false, type: 'int' },
  ]);
  await life(async (rows) => {
    expect(await rows('SELECT * FROM f ORDER BY id')).toEqual([
      [-2, '21', null, null, null],
      [4, '41', null, null, null],
      [5, '5000000000', 'more', null, null],
      [6, '60', 'log', '6', null],
    ]);
    await expect(rows('INSERT INTO f (id) VALUES (6)')).rejects.toMatchObject({ code: '23505' });
    await rows('INSERT INTO f VALUES (8, 8, NULL, 8, 8)');
    await rows('CHECKPOINT');
    expect(await rows('SELECT mine, name FROM f WHERE id = 8')).toEqual([['8', 8]]);
  });
}, 120_000);

test('a generated column that reads what another engine has renamed or dropped is a plain one with its values', async () => {
  await life(async (rows) => {
    await rows(`CREATE TABLE made (a int, b int, c int, x int GENERATED ALWAYS AS (a + 1) STORED,
      y int GENERATED ALWAYS AS (b + 1) STORED, z int GENERATED ALWAYS AS (c + 1) STORED)`);
    await rows('INSERT INTO made VALUES (1, 2, 3)');
    await rows('CHECKPOINT');
    evolve('made', (fields) =>
      fields
        .filter(({ name }) => name !== 'b')
        .map((field) => (field.name === 'a' ? { ...field, name: 'renamed' } : field)),
    );
    await untilKnown(rows, 'SELECT renamed FROM made');
    await rows('INSERT INTO made (renamed, c, x) VALUES (5, 6, 7)');
    expect(await rows('SELECT * FROM made ORDER BY renamed')).toEqual([
      [1, 3, 2, 3, 4],
      [5, 6, 7, null, 7],
    ]);
    expect(
      await rows(`SELECT attname FROM pg_attribute WHERE attrelid = 'made'::regclass AND attgenerated = 's'`),
    ).toEqual([['z']]);
  });
});

test('a CHECK that reads what another engine has renamed or dropped is gone, and the others stay', async () => {
  await life(async (rows) => {
    await rows('CREATE TABLE checked (a int CHECK (a > 0), b int CHECK (b > 0), c int CHECK (c > 0))');
    await rows('INSERT INTO checked VALUES (1, 2, 3)');
    await rows('CHECKPOINT');
    evolve('checked', (fields) =>
      fields
        .filter(({ name }) => name !== 'b')
        .map((field) => (field.name === 'a' ? { ...field, name: 'renamed' } : field)),
    );
    await untilKnown(rows, 'SELECT renamed FROM checked');
    await rows('INSERT INTO checked VALUES (-1, 6)');
    await expect(rows('INSERT INTO checked VALUES (1, -6)')).rejects.toMatchObject({ code: '23514' });
    expect(await rows('SELECT * FROM checked ORDER BY renamed')).toEqual([
      [-1, 6],
      [1, 3],
    ]);
    expect(await rows(`SELECT conname FROM pg_constraint WHERE conrelid = 'checked'::regclass`)).toEqual([
      ['checked_c_check'],
    ]);
  });
});
