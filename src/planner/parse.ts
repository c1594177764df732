/**
 * SQL text → statements, by PostgreSQL's own grammar (libpg-query, WebAssembly).
 *
 * The parser counts bytes of UTF-8; error positions and everything below count code points, as PostgreSQL's
 * ErrorResponse does. ASCII texts need no conversion and pay none.
 */
import { hasSqlDetails, loadModule, parseSync, type Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import { walk } from './ast.ts';
import type { ParsedStatement } from './plan.ts';

/** Once, before the first `parseSql`: compiles the WebAssembly (about 0.1 s). */
export async function loadParser(): Promise<void> {
  await loadModule();
}

/** Nesting that would overflow the parser's own stack is refused before it is entered. */
const NESTING_MAX = 3000;

/**
 * Texts with parameters come again and again: drivers send them anew with each execution; so do short ones, BEGIN or SELECT 1.
 * Their trees are kept, frozen, for planning makes copies of what it changes.
 */
const kept = new Map<string, readonly ParsedStatement[]>();
const KEPT_TEXT_MAX = 2048;
const SHORT_TEXT_MAX = 32;
/** A tree takes about 30 bytes a character. */
const KEPT_CHARACTERS_MAX = 131_072;
let keptCharacters = 0;

/** @throws {SqlError} 42601 with PostgreSQL's message and position */
export function parseSql(text: string): readonly ParsedStatement[] {
  if (text.length > KEPT_TEXT_MAX || (text.length > SHORT_TEXT_MAX && !text.includes('$'))) return parseText(text);
  let statements = kept.get(text);
  if (statements !== undefined) return statements;
  statements = parseText(text);
  freeze(statements);
  if (keptCharacters + text.length > KEPT_CHARACTERS_MAX) {
    kept.clear();
    keptCharacters = 0;
  }
  kept.set(text, statements);
  keptCharacters += text.length;
  return statements;
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}

function parseText(text: string): ParsedStatement[] {
  if (text.trim() === '') return [];
  refuseDeepNesting(text);
  const tree = parse(text);
  const statements = tree.stmts ?? [];
  if (statements.length === 0) return [];
  const offsets = isAscii(text) ? null : new Offsets(text);
  const parametrised = text.includes('$');
  return statements.map((raw) => {
    const byteStart = raw.stmt_location ?? 0;
    const byteEnd = raw.stmt_len === undefined || raw.stmt_len === 0 ? undefined : byteStart + raw.stmt_len;
    const node = raw.stmt as Node;
    if (offsets !== null) shiftLocations(node, offsets);
    const slice =
      offsets === null
        ? text.slice(byteStart, byteEnd)
        : text.slice(offsets.unit(byteStart), byteEnd === undefined ? undefined : offsets.unit(byteEnd));
    return {
      text: slice,
      position: offsets === null ? byteStart : offsets.codePoint(byteStart),
      node,
      parameterCount: parametrised ? highestParameter(node) : 0,
      source: text,
    };
  });
}

/** The parser gives no codes: all of its errors are of syntax, but these. */
const UNSUPPORTED =
  /constraints cannot be marked |cannot include schema elements$|not yet implemented$|^current database cannot be changed$|^WITH CHECK OPTION not supported on recursive views$/;
const RESERVED = /^role name ".*" is reserved$|cannot be used as a role name here$/s;

function parse(text: string): ReturnType<typeof parseSync> {
  try {
    return parseSync(text);
  } catch (error) {
    if (hasSqlDetails(error)) {
      const at = error.sqlDetails?.cursorPosition ?? -1;
      const where = at < 0 ? {} : { position: at + 1 };
      if (error.message === 'invalid Unicode escape') throw badEscape(text, at, where);
      const code = RESERVED.test(error.message)
        ? SqlState.reservedName
        : UNSUPPORTED.test(error.message)
          ? SqlState.featureNotSupported
          : SqlState.syntaxError;
      throw new SqlError(code, error.message, where);
    }
    // A trap of the WebAssembly: its stack, its memory, or a text it cannot take.
    throw new SqlError(SqlState.programLimitExceeded, 'stack depth limit exceeded', {
      cause: error,
      hint: 'The statement is nested too deeply or too long for the parser.',
    });
  }
}

/** E'\\u…' and U&'\\…' have errors of their own. */
function badEscape(text: string, at: number, where: { position?: number }): SqlError {
  const isExtended = /^\\u/i.test([...text].slice(at, at + 2).join('')) || /\be'/i.test(text);
  return isExtended
    ? new SqlError(SqlState.invalidEscapeSequence, 'invalid Unicode escape', {
        ...where,
        hint: String.raw`Unicode escapes must be \uXXXX or \UXXXXXXXX.`,
      })
    : new SqlError(SqlState.syntaxError, 'invalid Unicode escape', {
        ...where,
        hint: String.raw`Unicode escapes must be \XXXX or \+XXXXXX.`,
      });
}

/** A count of open brackets, blind to quotes: it may only be too careful, at a depth nobody writes. */
function refuseDeepNesting(text: string): void {
  if (text.length < NESTING_MAX) return;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 40 || unit === 91) depth++;
    else if (unit === 41 || unit === 93) depth--;
    if (depth > NESTING_MAX) throw new SqlError(SqlState.programLimitExceeded, 'stack depth limit exceeded');
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** Byte offset of UTF-8 → code point offset and UTF-16 offset. */
class Offsets {
  readonly #codePoints: Uint32Array;
  readonly #units: Uint32Array;

  constructor(text: string) {
    const bytes = Buffer.byteLength(text);
    this.#codePoints = new Uint32Array(bytes + 1);
    this.#units = new Uint32Array(bytes + 1);
    let byte = 0;
    let points = 0;
    let units = 0;
    for (const character of text) {
      const width = Buffer.byteLength(character);
      this.#codePoints.fill(points, byte, byte + width);
      this.#units.fill(units, byte, byte + width);
      byte += width;
      points++;
      units += character.length;
    }
    this.#codePoints[byte] = points;
    this.#units[byte] = units;
  }

  codePoint(byte: number): number {
    return this.#codePoints[byte] ?? 0;
  }

  unit(byte: number): number {
    return this.#units[byte] ?? 0;
  }
}

function shiftLocations(value: unknown, offsets: Offsets): void {
  if (typeof value !== 'object' || value === null) return;
  const record = value as Record<string, unknown>;
  for (const key in record) {
    const inner = record[key];
    if (key === 'location' && typeof inner === 'number' && inner > 0) record[key] = offsets.codePoint(inner);
    else if (typeof inner === 'object') shiftLocations(inner, offsets);
  }
}

function highestParameter(node: Node): number {
  let highest = 0;
  walk(node, (tag, body) => {
    if (tag === 'ParamRef') highest = Math.max(highest, (body['number'] as number | undefined) ?? 0);
  });
  return highest;
}
