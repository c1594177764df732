/**
 * The rows of `INSERT … VALUES (…), (…)` from the statement's bytes: bounds of literals into a `FieldBlock`, without a
 * tree, a string or an object a value.
 *
 * - I1 It takes what `constants.ts` gives a column's input function as it is written: strings, plain numbers, TRUE, FALSE,
 *   NULL, DEFAULT of constants, now(), CURRENT_TIMESTAMP, and strings with a cast to the column's own type.
 * - I2 Everything else is `odd`: the whole statement then goes to the grammar, so its meaning and errors are the grammar's.
 * - I3 src[end] is the caller's to lose: a quote is put there, so that no loop runs past the end.
 */
import type { ColumnDef } from '../table-def.ts';
import { ABSENT_NOW, ABSENT_NULL, type FieldBlock } from '../types/field-block.ts';
import { Oid } from '../types/pg-type.ts';
import { isSpaceByte, isWordByte, wordAt } from './insert-bytes.ts';
import { TEXTS } from '../types/type-kinds.ts';

const QUOTE = 39;
const OPEN = 40;
const CLOSE = 41;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const COLON = 58;
const SEMICOLON = 59;
const BACKSLASH = 92;

/** What a number written as number may be for a column; 0: no number is assigned to it. */
const NUMBERS: ReadonlyMap<number, number> = new Map([
  [Oid.int2, 1],
  [Oid.int4, 1],
  [Oid.int8, 1],
  [Oid.float4, 2],
  [Oid.float8, 2],
  [Oid.numeric, 2],
  [Oid.text, 2],
  [Oid.varchar, 2],
  [Oid.bpchar, 2],
  [Oid.oid, 1],
]);
const WITH_POINT = 2;

const TIMES: ReadonlySet<number> = new Set([Oid.date, Oid.timestamp, Oid.timestamptz]);

/** Types by the one word that a cast of a literal names them with. */
const TYPES: ReadonlyMap<string, number> = new Map([
  ['bool', Oid.bool],
  ['boolean', Oid.bool],
  ['int2', Oid.int2],
  ['smallint', Oid.int2],
  ['int4', Oid.int4],
  ['int', Oid.int4],
  ['integer', Oid.int4],
  ['int8', Oid.int8],
  ['bigint', Oid.int8],
  ['float4', Oid.float4],
  ['real', Oid.float4],
  ['float8', Oid.float8],
  ['numeric', Oid.numeric],
  ['decimal', Oid.numeric],
  ['text', Oid.text],
  ['varchar', Oid.varchar],
  ['bytea', Oid.bytea],
  ['date', Oid.date],
  ['time', Oid.time],
  ['timestamp', Oid.timestamp],
  ['timestamptz', Oid.timestamptz],
  ['uuid', Oid.uuid],
  ['json', Oid.json],
  ['jsonb', Oid.jsonb],
]);

/** Escapes of E'…' that stand for one byte; others that begin like a number or a quote are the grammar's. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [98, 8],
  [102, 12],
  [110, 10],
  [114, 13],
  [116, 9],
  [BACKSLASH, BACKSLASH],
]);

/** more: the block is full or the bytes end inside a row; end: the statement is over. */
export type ScanOutcome = 'more' | 'end' | 'odd';

const ODD = -1;
const INCOMPLETE = -2;

export class InsertRows {
  outcome: ScanOutcome = 'more';
  /** Values of each row; 0 before the first. */
  width = 0;
  readonly #columns: readonly ColumnDef[];
  readonly #numbers: Uint8Array;
  readonly #bools: Uint8Array;
  /** Of each column, where this window's copy of its default lies; -1: not yet. */
  readonly #defaultStarts: Int32Array;
  readonly #defaultEnds: Int32Array;

  /** @param columns that the values go to, in their order */
  constructor(columns: readonly ColumnDef[]) {
    this.#columns = columns;
    this.#numbers = Uint8Array.from(columns, (column) => NUMBERS.get(column.type.oid) ?? 0);
    this.#bools = Uint8Array.from(columns, (column) => (column.type.oid === Oid.bool ? 1 : 0));
    this.#defaultStarts = new Int32Array(columns.length);
    this.#defaultEnds = new Int32Array(columns.length);
  }

  /** Before the first row of a statement. */
  begin(): void {
    this.width = 0;
  }

  /** Scans whole rows of src[from, end); `final`: the statement ends at `end`. Where the first row begins that was not taken. */
  scan(block: FieldBlock, from: number, end: number, final: boolean): number {
    const { src, capacity } = block;
    src[end] = QUOTE;
    block.spill = end + 1;
    this.#defaultStarts.fill(-1);
    this.outcome = final ? 'odd' : 'more'; // if the bytes end inside a row
    let line = from;
    for (let row = 0; row < capacity; row++) {
      let at = line;
      while (isSpaceByte(src[at]!)) at++;
      if (at >= end) return line;
      if (src[at] !== OPEN) return this.#odd(line);
      at = this.#row(block, row, at + 1, end);
      if (at === ODD) return this.#odd(line);
      if (at === INCOMPLETE) return line;
      while (isSpaceByte(src[at]!)) at++;
      if (at >= end && !final) return line;
      if (at < end && src[at] === COMMA) {
        line = at + 1;
        block.rows = row + 1;
        continue;
      }
      if (at < end) {
        if (src[at] !== SEMICOLON) return this.#odd(line);
        at++;
        while (isSpaceByte(src[at]!)) at++;
        if (at >= end && !final) return line;
        if (at < end) return this.#odd(line);
      }
      block.rows = row + 1;
      this.outcome = 'end';
      return end;
    }
    this.outcome = 'more';
    return line;
  }

  #odd(line: number): number {
    this.outcome = 'odd';
    return line;
  }

  /** Values up to the closing bracket; the position after it, INCOMPLETE when the bytes end before, ODD. */
  #row(block: FieldBlock, row: number, from: number, end: number): number {
    const { src, starts, ends, capacity } = block;
    const columns = this.#columns.length;
    let at = from;
    for (let value = 0; ; value++) {
      while (isSpaceByte(src[at]!)) at++;
      if (at >= end) return INCOMPLETE;
      if (value === columns) return ODD;
      const slot = value * capacity + row;
      const byte = src[at]!;
      if (byte === QUOTE) {
        at = this.#string(block, slot, at, end);
        if (at < 0) return at;
        while (isSpaceByte(src[at]!)) at++;
        if (src[at] === COLON) at = this.#cast(src, value, at, end);
      } else if (byte === MINUS || (byte - ZERO) >>> 0 < 10) {
        starts[slot] = at;
        at = this.#number(src, value, at, end);
        ends[slot] = at;
      } else at = this.#word(block, slot, value, at, end);
      if (at < 0) return at;
      while (isSpaceByte(src[at]!)) at++;
      if (at >= end) return INCOMPLETE;
      if (src[at] === COMMA) {
        at++;
        continue;
      }
      if (src[at] !== CLOSE) return ODD;
      if (this.width === 0) this.width = value + 1;
      return value + 1 === this.width ? at + 1 : ODD;
    }
  }

  /** A string whose quote is at `at`; after its closing quote. */
  #string(block: FieldBlock, slot: number, at: number, end: number): number {
    const { src, starts, ends } = block;
    let to = at + 1;
    let doubled = false;
    for (;;) {
      while (src[to] !== QUOTE) to++;
      if (to + 1 >= end) return INCOMPLETE;
      if (src[to + 1] !== QUOTE) break;
      doubled = true;
      to += 2;
    }
    starts[slot] = at + 1;
    ends[slot] = to;
    if (doubled) {
      starts[slot] = block.spill;
      let out = block.spill;
      for (let i = at + 1; i < to; i++) {
        if (src[i] === QUOTE) i++;
        src[out++] = src[i]!;
      }
      block.spill = ends[slot] = out;
    }
    return to + 1;
  }

  /** Digits with a sign and a point, in the form that numeric prints; after them. */
  #number(src: Uint8Array, value: number, from: number, end: number): number {
    const digits = src[from] === MINUS ? from + 1 : from;
    let at = digits;
    while ((src[at]! - ZERO) >>> 0 < 10) at++;
    if (at >= end) return INCOMPLETE;
    const allowed = this.#numbers[value]!;
    if (at === digits || allowed === 0) return ODD;
    if (src[digits] === ZERO && (at > digits + 1 || (digits > from && src[at] !== POINT))) return ODD;
    if (src[at] !== POINT) return at;
    const fraction = ++at;
    while ((src[at]! - ZERO) >>> 0 < 10) at++;
    if (at >= end) return INCOMPLETE;
    // -0.0 is a numeric, which has one zero
    if (digits > from && src[digits] === ZERO && isZero(src, fraction, at)) return ODD;
    return at === fraction || allowed !== WITH_POINT ? ODD : at;
  }

  /** A value that begins with a letter; after it. */
  #word(block: FieldBlock, slot: number, value: number, from: number, end: number): number {
    const { src, starts, ends } = block;
    let at = from;
    while (isWordByte(src[at]!)) at++;
    if (at === from) return ODD;
    if (at >= end) return INCOMPLETE;
    if (wordAt(src, from, end, 'null')) return this.#absent(block, slot, value, ABSENT_NULL, at);
    if (wordAt(src, from, end, 'true') || wordAt(src, from, end, 'false')) {
      starts[slot] = from;
      ends[slot] = at;
      return this.#bools[value] === 1 ? at : ODD;
    }
    if (wordAt(src, from, end, 'default')) return this.#default(block, slot, value, at, end);
    const word = Buffer.from(src.buffer, src.byteOffset + from, at - from)
      .toString('latin1')
      .toLowerCase();
    if (word === 'e' && src[at] === QUOTE) return this.#escaped(block, slot, at, end);
    const isTime = TIMES.has(this.#columns[value]!.type.oid);
    if (word === 'current_timestamp' && isTime) return this.#absent(block, slot, value, ABSENT_NOW, at);
    while (isSpaceByte(src[at]!)) at++;
    if (at >= end) return INCOMPLETE;
    if (word === 'now' && isTime && src[at] === OPEN) {
      at++;
      while (isSpaceByte(src[at]!)) at++;
      if (at >= end) return INCOMPLETE;
      return src[at] === CLOSE ? this.#absent(block, slot, value, ABSENT_NOW, at + 1) : ODD;
    }
    return src[at] === QUOTE && this.#isOwnType(word, value) ? this.#string(block, slot, at, end) : ODD;
  }

  #absent(block: FieldBlock, slot: number, value: number, code: number, after: number): number {
    block.starts[slot] = code;
    block.absent[value]!++;
    return after;
  }

  #default(block: FieldBlock, slot: number, value: number, after: number, end: number): number {
    const given = this.#columns[value]!.default;
    if (given === null || (given.kind === 'constant' && given.text === null))
      return this.#absent(block, slot, value, ABSENT_NULL, after);
    if (given.kind === 'now' && given.shift === undefined) return this.#absent(block, slot, value, ABSENT_NOW, after);
    if (given.kind !== 'constant') return ODD;
    if (this.#defaultStarts[value]! < 0) {
      const text = Buffer.from(given.text!);
      // Room for what may yet be unescaped stays free (F3).
      if (block.spill + text.length + end - after > block.src.length) return ODD;
      block.src.set(text, block.spill);
      this.#defaultStarts[value] = block.spill;
      block.spill += text.length;
      this.#defaultEnds[value] = block.spill;
    }
    block.starts[slot] = this.#defaultStarts[value]!;
    block.ends[slot] = this.#defaultEnds[value]!;
    return after;
  }

  /** `::type` at `at`, after a string; after it. */
  #cast(src: Uint8Array, value: number, from: number, end: number): number {
    let at = from + 2;
    if (src[from + 1] !== COLON) return from + 1 >= end ? INCOMPLETE : ODD;
    while (isSpaceByte(src[at]!)) at++;
    const start = at;
    while (isWordByte(src[at]!)) at++;
    if (at >= end) return INCOMPLETE;
    const word = Buffer.from(src.buffer, src.byteOffset + start, at - start)
      .toString('latin1')
      .toLowerCase();
    return this.#isOwnType(word, value) ? at : ODD;
  }

  /** The same input function reads the literal with and without the type. */
  #isOwnType(word: string, value: number): boolean {
    const oid = TYPES.get(word);
    const own = this.#columns[value]!.type.oid;
    return oid !== undefined && (oid === own || (TEXTS.has(oid) && TEXTS.has(own)));
  }

  /** E'…' whose quote is at `at`; after its closing quote. */
  #escaped(block: FieldBlock, slot: number, at: number, end: number): number {
    const { src } = block;
    let out = block.spill;
    for (let i = at + 1; i < end; i++) {
      let byte = src[i]!;
      if (byte === QUOTE) {
        if (i + 1 >= end) return INCOMPLETE;
        if (src[i + 1] !== QUOTE) {
          block.starts[slot] = block.spill;
          block.spill = block.ends[slot] = out;
          return i + 1;
        }
        i++;
      } else if (byte === BACKSLASH) {
        const escape = ESCAPES.get(src[++i]!);
        if (i >= end) return INCOMPLETE;
        if (escape === undefined) return ODD;
        byte = escape;
      }
      src[out++] = byte;
    }
    return INCOMPLETE;
  }
}

function isZero(src: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (src[i] !== ZERO) return false;
  return true;
}
