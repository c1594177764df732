import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { damagedAt } from '../../src/storage/disk/sqlite-damage.ts';

const PAGE_BYTES = 4096;
const dir = mkdtempSync(join(tmpdir(), 'arka-sqlite-'));
const path = join(dir, 'a.db');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** With a schema longer than a page, tables and an index of several, a long value, and free pages. */
let good: Buffer;
beforeAll(() => {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA secure_delete = ON; CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT); CREATE TABLE gone (v TEXT)'); // free pages are empty
  for (let i = 0; i < 40; i++) db.exec(`CREATE TABLE t${i} (v TEXT /* ${'x'.repeat(150)} */)`);
  const insert = db.prepare('INSERT INTO t VALUES (?, ?)');
  for (let i = 0; i < 300; i++) insert.run(`key-${i}`, 'v'.repeat(50));
  insert.run('long', 'v'.repeat(3 * PAGE_BYTES));
  db.exec(`INSERT INTO gone VALUES (zeroblob(${3 * PAGE_BYTES})); DROP TABLE gone`);
  db.close();
  good = readFileSync(path);
});

function damaged(change: (bytes: Buffer) => Buffer | void): string | null {
  const bytes = Buffer.from(good);
  writeFileSync(path, change(bytes) ?? bytes);
  return damagedAt(path);
}

test('a file that is whole is damaged nowhere', () => {
  expect(damaged(() => {})).toBeNull();
  expect(damagedAt(join(dir, 'none.db'))).toBeNull();
});

describe('another byte', () => {
  test.each([
    ['of what every such file begins with', 3, 3],
    ['of the size of pages', 16, 16],
    ['of the version that reads it', 19, 19],
    ['of what is fixed', 22, 22],
    ['of the first free page', 32, 32],
    ['of the number of free pages', 36, 36],
    ['of the format of the schema', 44, 44],
    ['of the encoding', 59, 56],
    ['of the page that all tables are in', 100, 100],
  ])('%s is named with its place', (_, at, told) => {
    expect(damaged((bytes) => void (bytes[at]! ^= 0xff))).toBe(`at byte ${told}`);
  });

  test('at the beginning of any page of a table or index is named with the place of the page', () => {
    const kinds = new Set([2, 5, 10, 13]);
    let pages = 0;
    for (let at = PAGE_BYTES; at < good.length; at += PAGE_BYTES) {
      if (!kinds.has(good[at]!)) continue; // free, or a part of the long value
      expect(damaged((bytes) => void (bytes[at]! ^= 0x40))).toBe(`at byte ${at}`);
      pages++;
    }
    expect(pages).toBeGreaterThan(50);
  });
});

test('a file that is cut off is damaged where it ends', () => {
  for (const bytes of [0, 50, 100, PAGE_BYTES, good.length - PAGE_BYTES])
    expect(damaged((all) => all.subarray(0, bytes))).toMatch(new RegExp(`^at byte ${bytes}, where it ends`));
});
