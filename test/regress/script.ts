/**
 * A file of PostgreSQL's regression tests as statements: what psql would send, with its variables put in and the data of COPY behind it.
 *
 * - R1 Commands of psql itself (\d, \pset …) are left out; what ends in \gset or \gdesc is the statement before it.
 * - R2 COPY of a file of the tests' folder becomes COPY FROM STDIN with that file's bytes; of other files nothing is left.
 * - R3 A statement's number counts from the file's beginning, and its share (`isHeld`) hangs on the text alone.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../differential/wire.ts';

export interface Statement {
  readonly sql: string;
  readonly step: Step;
  /** Of the third that is not looked at while Arka is changed. */
  readonly isHeld: boolean;
}

export function readScript(folder: string, name: string): Statement[] {
  const text = readFileSync(join(folder, 'sql', `${name}.sql`), 'utf8');
  const files = new Map<string, string>();
  const statements: Statement[] = [];
  for (const piece of pieces(text)) {
    if (piece.command !== undefined) {
      const named = /^\\set (\w+) :abs_srcdir '([^']+)'/.exec(piece.command);
      if (named !== null) files.set(named[1]!, join(folder, named[2]!));
      continue;
    }
    const step = stepOf(piece.sql, piece.data, files);
    if (step !== null) statements.push({ sql: piece.sql, step, isHeld: isHeld(piece.sql) });
  }
  return statements;
}

function isHeld(sql: string): boolean {
  return createHash('sha256').update(sql.replaceAll(/\s+/g, ' ')).digest()[0]! % 3 === 0;
}

function stepOf(sql: string, data: string | null, files: ReadonlyMap<string, string>): Step | null {
  if (data !== null) return { sql, data };
  const file = /:'(\w+)'/.exec(sql);
  if (file === null) return /(?<!:):[a-z_]\w*\b/.test(withoutQuotes(sql)) ? null : sql;
  const path = files.get(file[1]!);
  if (path === undefined || !/^\s*copy\b/i.test(sql)) return null;
  return { sql: sql.replace(file[0], 'STDIN'), data: readFileSync(path, 'utf8') };
}

function withoutQuotes(sql: string): string {
  return sql.replaceAll(/'[^']*'|"[^"]*"|--[^\n]*|\[[^\]]*\]/g, '');
}

interface Piece {
  readonly sql: string;
  readonly data: string | null;
  readonly command?: string;
}

/** Ends at `;` outside quotes, comments and brackets, or at a command of psql. */
function* pieces(text: string): Generator<Piece> {
  let at = 0;
  let start = 0;
  let depth = 0;
  const line = (from: number): number => {
    const end = text.indexOf('\n', from);
    return end < 0 ? text.length : end + 1;
  };
  const blank = (): boolean => withoutComments(text.slice(start, at)).trim() === '';
  while (at < text.length) {
    const rest = skipped(text, at);
    if (rest > at) {
      at = rest;
      continue;
    }
    const char = text[at]!;
    if (char === '(' || char === '[') depth++;
    else if (char === ')' || char === ']') depth--;
    else if (char === '\\' && text[at + 1] === ';') {
      at += 2;
      continue;
    } else if (char === '\\') {
      if (!blank()) yield { sql: plain(text.slice(start, at)), data: null };
      const end = line(at);
      yield { sql: '', data: null, command: text.slice(at, end).trim() };
      start = at = end;
      depth = 0;
      continue;
    } else if (char === ';' && depth <= 0) {
      const sql = plain(text.slice(start, at + 1));
      at++;
      let data: string | null = null;
      if (/^\s*copy\b[^]*\bfrom\s+std(?:in|out)\b/i.test(withoutComments(sql))) {
        const from = line(at);
        const end = text.indexOf('\n\\.\n', from - 1);
        data = '';
        if (end >= 0) {
          data = text.slice(from, end + 1);
          at = end + 4;
        }
      }
      if (withoutComments(sql).trim() !== ';') yield { sql, data };
      start = at;
      depth = 0;
      continue;
    }
    at++;
  }
}

function plain(sql: string): string {
  return sql.replaceAll('\\;', ';').trim();
}

function withoutComments(sql: string): string {
  return sql.replaceAll(/--[^\n]*/g, '').replaceAll(/\/\*[^]*?\*\//g, '');
}

/** Past the quoted text or comment that begins here. */
function skipped(text: string, at: number): number {
  const two = text.slice(at, at + 2);
  if (two === '--') return ended(text, text.indexOf('\n', at), 1);
  if (two === '/*') return pastComment(text, at);
  const char = text[at]!;
  if (char === "'" || char === '"') return pastQuote(text, at);
  if (char !== '$' || /[\w$]/.test(text[at - 1] ?? '')) return at;
  const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 64))?.[0];
  return tag === undefined ? at : ended(text, text.indexOf(tag, at + tag.length), tag.length);
}

function ended(text: string, at: number, length: number): number {
  return at < 0 ? text.length : at + length;
}

function pastQuote(text: string, at: number): number {
  const quote = text[at]!;
  const escapes = quote === "'" && /[eE]/.test(text[at - 1] ?? '') && !/\w/.test(text[at - 2] ?? '');
  for (let i = at + 1; i < text.length; i++) {
    if (escapes && text[i] === '\\') i++;
    else if (text[i] === quote) {
      if (text[i + 1] === quote) i++;
      else return i + 1;
    }
  }
  return text.length;
}

function pastComment(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const two = text.slice(i, i + 2);
    if (two === '/*') depth++;
    else if (two === '*/' && --depth === 0) return i + 2;
    else continue;
    i++;
  }
  return text.length;
}
