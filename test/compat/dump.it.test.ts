/**
 * pg_dump of Arka, restored into another Arka and, where COMPAT_POSTGRES names a superuser of a PostgreSQL 15, into a database of
 * its own there: what is dumped from the copy is the same again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { program, psql } from './outside.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-dump-'));
let source: ServerProcess;
let target: ServerProcess;
beforeAll(async () => {
  [source, target] = await Promise.all([startServer(), startServer()]);
  const { stderr } = await psql(source.url, SCHEMA);
  expect(stderr).toBe('');
});
afterAll(async () => {
  await Promise.all([source[Symbol.asyncDispose](), target[Symbol.asyncDispose]()]);
  rmSync(scratch, { recursive: true });
});

const SCHEMA = `
CREATE TABLE events (
  id bigint PRIMARY KEY, ts timestamptz NOT NULL DEFAULT now(), amount float8, label varchar(20) DEFAULT 'x', price numeric(12,2),
  j jsonb, b bytea, u uuid, d date, t time, CONSTRAINT positive CHECK (price > 0));
INSERT INTO events SELECT g, '2026-01-01'::timestamptz + g * interval '1 hour', g * 1.5, 'l' || g, g, '{"a": [1, null]}', '\\x00ff',
  '00000000-0000-0000-0000-000000000001', '2026-01-01', '12:00' FROM generate_series(1, 1000) g;
CREATE TABLE "Mixed Case" (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY (START WITH 7), "a b" text);
INSERT INTO "Mixed Case" ("a b") VALUES (E'tab\\t, backslash \\\\, newline \\n'), (NULL), ('ü 💧'), ('');
CREATE SCHEMA other;
CREATE TABLE other.keyless (x int, y smallint);
INSERT INTO other.keyless VALUES (1, 2), (1, 2);
CREATE TABLE lists (
  id int PRIMARY KEY, n numeric[], p numeric(50,10)[], i interval[], z timetz(2)[], c char(4)[], q "char"[], t text[]);
INSERT INTO lists VALUES (1, '{1.50,NaN}', '{-1}', '{"1 mon -1 day"}', '{10:00+02}', '{ab,NULL}', '{a}', '{"a,b"}'), (2, '{}', NULL, '{}', '{}', '{}', '{}', '{NULL}');
CREATE TABLE made (
  a int, "B c" varchar(9), w numeric, total numeric GENERATED ALWAYS AS (a * w / 3) STORED, id int PRIMARY KEY,
  label text GENERATED ALWAYS AS ("B c" || ':' || a) STORED, e text GENERATED ALWAYS AS (lower("B c")) STORED);
INSERT INTO made (id, a, "B c", w) VALUES (1, 2, 'X', 1.50), (2, NULL, NULL, NULL);
CREATE INDEX by_label ON events USING hash (label);
CREATE INDEX by_day ON events (d DESC, label COLLATE "C" varchar_pattern_ops) INCLUDE (u) WITH (fillfactor = 90);
CREATE VIEW dear AS SELECT e.id, e.price * 2 AS double FROM events e JOIN other.keyless k ON k.x = e.id WHERE e.price > 0.5;
CREATE VIEW dearer AS SELECT dear.double FROM dear;
CREATE SEQUENCE other.counter START WITH 5 INCREMENT BY 3;
SELECT nextval('other.counter');
CREATE UNLOGGED TABLE other.passing (a int PRIMARY KEY, s serial, n int GENERATED ALWAYS AS IDENTITY);
CREATE UNLOGGED SEQUENCE other.passing_by;
COMMENT ON TABLE events IS 'it''s';
COMMENT ON COLUMN events.ts IS 'when';
COMMENT ON VIEW dear IS 'above a euro';
COMMENT ON SCHEMA other IS 'the rest';
`;

/** Without what is of one run; PostgreSQL 15 writes the table before each column of a view of one table. */
const comparable = (dump: string): string[] =>
  dump
    .split('\n')
    .filter((line) => !/^(-- Dumped from|\\(un)?restrict)/.test(line))
    .map((line) => line.trim());

async function dump(url: string): Promise<string> {
  const { code, stdout, stderr } = await program('pg_dump', ['--no-owner', '-d', url]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

async function emptied(url: string): Promise<void> {
  await psql(url, 'DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA public;');
}

test('a dump holds schema and data, nothing of what came with Arka, and restores into Arka', async () => {
  const text = await dump(source.url);
  expect(text).not.toMatch(/arka\./);
  expect(text).toContain('COPY public.events');
  expect(text).toContain('CREATE UNLOGGED TABLE other.passing (');
  expect(text).toContain('CREATE UNLOGGED SEQUENCE other.passing_by');
  await emptied(target.url);
  const { stderr } = await psql(target.url, text, ['-At', '-v', 'ON_ERROR_STOP=1']);
  expect(stderr).toBe('');
  expect(comparable(await dump(target.url))).toEqual(comparable(text));
});

test('an archive is restored by pg_restore, over what is there as well', async () => {
  const file = join(scratch, 'archive');
  expect(await program('pg_dump', ['-Fc', '-f', file, '-d', source.url])).toMatchObject({ code: 0, stderr: '' });
  await emptied(target.url);
  const restore = ['--no-owner', '-d', target.url];
  expect(await program('pg_restore', [...restore, file])).toMatchObject({ code: 0, stderr: '' });
  expect(await program('pg_restore', [...restore, '--clean', '--if-exists', file])).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect(comparable(await dump(target.url))).toEqual(comparable(await dump(source.url)));
});

const postgres = process.env['COMPAT_POSTGRES'];
test.runIf(postgres !== undefined)(
  'a dump restores into PostgreSQL 15, and what that dumps restores into Arka',
  async () => {
    const database = `arka_dump_${process.pid}`;
    const url = new URL(postgres!);
    url.pathname = `/${database}`;
    await psql(postgres!, `CREATE DATABASE ${database};`);
    try {
      const { stderr } = await psql(url.href, await dump(source.url), ['-At', '-v', 'ON_ERROR_STOP=1']);
      expect(stderr).toBe('');
      await emptied(target.url);
      const back = await psql(target.url, await dump(url.href), ['-At', '-v', 'ON_ERROR_STOP=1']);
      expect(back.stderr).toBe('');
      expect(comparable(await dump(target.url))).toEqual(comparable(await dump(source.url)));
    } finally {
      await psql(postgres!, `DROP DATABASE ${database};`);
    }
  },
);
