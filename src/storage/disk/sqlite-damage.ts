/**
 * Where a SQLite file is damaged, for who has to mend it: SQLite itself says "malformed", or a page, or nothing.
 * What stands in a row is not looked at: any text is as good as another for the format, and checksums of rows say no place.
 * @see https://www.sqlite.org/fileformat2.html
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const HEADER_BYTES = 100;
const PROBLEMS_MAX = 100;
/** Kinds of b-tree pages: interior and leaf, of an index and of a table. */
const TABLE_INTERIOR = 5;
const TABLE_LEAF = 13;

/** As in "is damaged at byte 8192"; null: that cannot be known. It never throws. */
export function damagedAt(path: string): string | null {
  try {
    const file = openSync(path, 'r');
    try {
      const head = readHead(file);
      if (typeof head === 'string') return head;
      return pageDamaged(path, file, head);
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}

/** The same as what is said of the file: "is damaged", and where, if that can be known. */
export function sqliteDamage(path: string): string {
  const place = damagedAt(path);
  return place === null ? 'is damaged' : `is damaged ${place}`;
}

/** What SQLite has found, in one line. @param found of PRAGMA quick_check or integrity_check */
export function problemText(found: string): string {
  return found.replace(/^\*\*\* in database main \*\*\*\n/, '').split('\n')[0]!;
}

/** The size of a page; or what is wrong. */
function readHead(file: number): number | string {
  const { size: bytes } = fstatSync(file);
  const head = Buffer.alloc(HEADER_BYTES);
  if (readSync(file, head, 0, HEADER_BYTES, 0) < HEADER_BYTES) return `at byte ${bytes}, where it ends`;
  const wrong = head.findIndex((byte, at) => at < MAGIC.length && byte !== MAGIC[at]);
  if (wrong >= 0) return `at byte ${wrong}`;
  const pageBytes = head.readUInt16BE(16) === 1 ? 65_536 : head.readUInt16BE(16);
  const inHeader = head.readUInt32BE(28);
  // Another program may have written the file, and not said how many.
  const pages = head.readUInt32BE(24) === head.readUInt32BE(92) ? inHeader : null;
  const free = { first: head.readUInt32BE(32), count: head.readUInt32BE(36) };
  const rules: readonly (readonly [at: number, holds: boolean])[] = [
    [16, pageBytes >= 512 && (pageBytes & (pageBytes - 1)) === 0],
    [18, head[18] === 1 || head[18] === 2],
    [19, head[19] === 1 || head[19] === 2],
    [21, head[21] === 64],
    [22, head[22] === 32],
    [23, head[23] === 32],
    [44, head.readUInt32BE(44) >= 1 && head.readUInt32BE(44) <= 4],
    [56, head.readUInt32BE(56) >= 1 && head.readUInt32BE(56) <= 3],
  ];
  const broken = rules.find(([, holds]) => !holds);
  if (broken !== undefined) return `at byte ${broken[0]}`;
  const count = Math.max(pages ?? 0, Math.ceil(bytes / pageBytes));
  if (free.first > count || (free.first === 0) !== (free.count === 0)) return 'at byte 32';
  if (free.count >= count) return 'at byte 36';
  if (pages !== null && pages * pageBytes > bytes)
    return `at byte ${bytes}, where it ends, or at byte 28, where it says that it has ${pages} pages of ${pageBytes} bytes`;
  return pageBytes;
}

function pageDamaged(path: string, file: number, pageBytes: number): string | null {
  const at = (page: number): string => `at byte ${(page - 1) * pageBytes}`;
  let found = '';
  try {
    using db = new DatabaseSync(path, { readOnly: true });
    for (const row of db.prepare(`PRAGMA integrity_check(${PROBLEMS_MAX})`).iterate())
      found += `${String(row['integrity_check'])}\n`;
  } catch {
    if (found === '') return schemaDamaged(file, pageBytes); // it does not get as far as to look at pages
  }
  const pages = (pattern: RegExp): number[] => Array.from(found.matchAll(pattern), ([, page]) => Number(page));
  // That a page is used by nobody follows from another that has named it.
  const named = pages(/^Tree \d+ page (\d+)/gm);
  const [first] = (named.length > 0 ? named : pages(/page (\d+)(?!: never used)\b/gi)).sort((a, b) => a - b);
  if (first !== undefined) return at(first);
  if (found.includes('max rootpage')) return 'at byte 52';
  return found.includes('incremental_vacuum') ? 'at byte 64' : null;
}

/** The table of all tables: it begins in the first page, behind the header, and has others when it is long. */
function schemaDamaged(file: number, pageBytes: number): string {
  const page = Buffer.alloc(pageBytes);
  readSync(file, page, 0, pageBytes, 0);
  const root = page.subarray(HEADER_BYTES);
  if (root[0] === TABLE_INTERIOR) {
    const cells = root.readUInt16BE(3);
    const children = Array.from({ length: Math.min(cells, (pageBytes - HEADER_BYTES - 12) >> 1) }, (_, i) => {
      const cell = root.readUInt16BE(12 + i * 2);
      return cell + 4 <= pageBytes ? page.readUInt32BE(cell) : 0;
    });
    const kind = Buffer.alloc(1);
    for (const child of [...children, root.readUInt32BE(8)]) {
      if (child === 0) break;
      readSync(file, kind, 0, 1, (child - 1) * pageBytes);
      if (kind[0] !== TABLE_LEAF && kind[0] !== TABLE_INTERIOR) return `at byte ${(child - 1) * pageBytes}`;
    }
  }
  return `at byte ${HEADER_BYTES}`;
}
