/**
 * Values inside JSON text, as text: what `->`, `->>`, `#>` and `#>>` mean. The text is valid JSON, of json as it was written or of
 * jsonb in its canonical form; a part of canonical text is canonical itself.
 *
 * - T1 Of equal keys of a json object the last counts; jsonb has none.
 * - T2 An index below 0 counts from the end; a step that does not lead anywhere gives null.
 */
import { SqlError, SqlState } from '../errors.ts';

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Behind the string whose quote is at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === 34) return at + 1;
    at += code === 92 ? 2 : 1;
  }
}

/** Behind the value that begins at `from`. */
function valueEnd(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === 34) return stringEnd(text, from);
  let at = from;
  if (first !== 123 && first !== 91) {
    for (at++; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 44 || code === 93 || code === 125 || isSpace(code)) break;
    }
    return at;
  }
  let depth = 0;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === 34) {
      at = stringEnd(text, at);
      continue;
    }
    at++;
    if (code === 123 || code === 91) depth++;
    else if ((code === 125 || code === 93) && --depth === 0) return at;
  }
}

export function kindOf(text: string, from = skipSpace(text, 0)): JsonKind {
  switch (text.charCodeAt(from)) {
    case 123:
      return 'object';
    case 91:
      return 'array';
    case 34:
      return 'string';
    case 116:
    case 102:
      return 'boolean';
    case 110:
      return 'null';
    default:
      return 'number';
  }
}

/** What a string literal of JSON says. */
export function unquoted(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  const value = JSON.parse(literal) as string;
  if (value.includes('\u0000'))
    throw new SqlError(SqlState.untranslatableCharacter, 'unsupported Unicode escape sequence', {
      detail: '\\u0000 cannot be converted to text.',
    });
  return value;
}

/** The members of an object, in the order of the text. */
export function membersOf(text: string): readonly (readonly [key: string, value: string])[] {
  const members: [string, string][] = [];
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text.charCodeAt(at) !== 125) {
    const keyEnd = stringEnd(text, at);
    const key = unquoted(text.slice(at, keyEnd));
    at = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, at);
    members.push([key, text.slice(at, end)]);
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 44) at = skipSpace(text, at + 1);
  }
  return members;
}

/** The elements of an array. */
export function elementsOf(text: string): readonly string[] {
  const elements: string[] = [];
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text.charCodeAt(at) !== 93) {
    const end = valueEnd(text, at);
    elements.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 44) at = skipSpace(text, at + 1);
  }
  return elements;
}

/** Whether the string literal [from, end) says `key`. */
function isKey(text: string, from: number, end: number, key: string): boolean {
  if (!key.includes('\\') && end - from - 2 === key.length && text.startsWith(key, from + 1)) return true;
  const literal = text.slice(from, end);
  return literal.includes('\\') && unquoted(literal) === key;
}

/** `-> 'key'`; null where there is no object or no such key. */
export function memberOf(text: string, key: string): string | null {
  const from = skipSpace(text, 0);
  if (text.charCodeAt(from) !== 123) return null;
  let found: string | null = null;
  let at = skipSpace(text, from + 1);
  while (text.charCodeAt(at) !== 125) {
    const keyEnd = stringEnd(text, at);
    const isIt = isKey(text, at, keyEnd, key);
    at = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, at);
    if (isIt) found = text.slice(at, end);
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 44) at = skipSpace(text, at + 1);
  }
  return found;
}

/** `-> n`; null where there is no array or no such element. */
export function elementOfArray(text: string, index: number): string | null {
  if (kindOf(text) !== 'array') return null;
  if (index < 0) return elementsOf(text).at(index) ?? null;
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  for (let i = 0; text.charCodeAt(at) !== 93; i++) {
    const end = valueEnd(text, at);
    if (i === index) return text.slice(at, end);
    at = skipSpace(text, end);
    if (text.charCodeAt(at) === 44) at = skipSpace(text, at + 1);
  }
  return null;
}

/** `#> path`; a step of null leads nowhere, no steps to the value itself. */
export function valueAt(text: string, path: readonly (string | null)[]): string | null {
  let value: string | null = text.trim();
  for (const step of path) {
    if (value === null || step === null) return null;
    const kind = kindOf(value);
    if (kind === 'object') value = memberOf(value, step);
    else if (kind === 'array') value = /^[ \t-\r]*[-+]?\d+$/.test(step) ? elementOfArray(value, Number(step)) : null;
    else return null;
  }
  return value;
}

/** `->>`: strings without their quotes, null as NULL, all else as it stands. */
export function textOf(value: string | null): string | null {
  if (value === null) return null;
  const kind = kindOf(value);
  return kind === 'null' ? null : kind === 'string' ? unquoted(value.trim()) : value;
}
