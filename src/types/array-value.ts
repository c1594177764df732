/**
 * Arrays between their text `{1,NULL,"a b"}`, `[0:1]={…}`, `{{1,2},{3,4}}` and their binary form: int32 dimensions, int32 whether
 * there are NULLs, uint32 element type, per dimension int32 length and int32 lower bound, then per element int32 length and value,
 * -1 for NULL. Sources: array_in, array_out, array_recv, array_send.
 *
 * For parameters and for results of queries: strings, one value at a time.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { binaryOutput } from './binary-output.ts';
import type { ByteWriter } from './byte-writer.ts';
import { formatType } from './format-type.ts';
import { numericBinary } from './numeric-binary.ts';
import { columnTypeInfo, Oid } from './pg-type.ts';
import { textInput } from './text-input.ts';
import { UTC } from './time-zone.ts';
import { encodeText } from './utf8.ts';
import { VectorBuilder } from './vector-builder.ts';
import { isSpace } from './white-space.ts';

export interface ArrayValue {
  /** Lengths, the outermost first; empty for an array without elements. */
  readonly lengths: readonly number[];
  readonly lowerBounds: readonly number[];
  /** All elements, row by row. */
  readonly items: readonly (string | null)[];
}

/** PostgreSQL's limit. */
const DIMENSIONS_MAX = 6;

/** @throws {SqlError} 22P02 */
export function parseArray(text: string): ArrayValue {
  return new ArrayReader(text).read();
}

class ArrayReader {
  readonly #text: string;
  #at = 0;
  readonly #items: (string | null)[] = [];
  readonly #lengths: number[] = [];
  /** The depth that elements are at, once it is known. */
  #depth = -1;

  constructor(text: string) {
    this.#text = text;
  }

  read(): ArrayValue {
    this.#spaces();
    const bounds = this.#bounds();
    if (this.#text[this.#at] !== '{')
      throw this.#malformed('Array value must start with "{" or dimension information.');
    this.#level(0);
    this.#spaces();
    if (this.#at < this.#text.length) throw this.#malformed('Junk after closing right brace.');
    const lengths = this.#items.length === 0 ? [] : this.#lengths;
    if (bounds !== null) {
      if (bounds.length !== lengths.length || bounds.some(([low, high], i) => high - low + 1 !== lengths[i]))
        throw this.#malformed('Specified array dimensions do not match array contents.');
    }
    return { lengths, lowerBounds: lengths.map((_, i) => bounds?.[i]![0] ?? 1), items: this.#items };
  }

  #malformed(detail: string): SqlError {
    return new SqlError(SqlState.invalidTextRepresentation, `malformed array literal: "${this.#text}"`, { detail });
  }

  #spaces(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at++;
  }

  /** `[1:2][3:4]=` in front. */
  #bounds(): [number, number][] | null {
    if (this.#text[this.#at] !== '[') return null;
    const bounds: [number, number][] = [];
    const one = /\[([+-]?\d+)(?::([+-]?\d+))?\][ \t-\r]*/y;
    for (;;) {
      one.lastIndex = this.#at;
      const match = one.exec(this.#text);
      if (match === null) break;
      const second = match[2];
      bounds.push(second === undefined ? [1, Number(match[1])] : [Number(match[1]), Number(second)]);
      this.#at = one.lastIndex;
    }
    if (bounds.length === 0 || this.#text[this.#at] !== '=')
      throw this.#malformed('Missing "=" after array dimensions.');
    if (bounds.some(([low, high]) => high < low))
      throw new SqlError(SqlState.arraySubscriptError, 'upper bound cannot be less than lower bound');
    this.#at++;
    this.#spaces();
    return bounds;
  }

  /** From an opening brace to behind its closing one; how many members it had. */
  #level(depth: number): void {
    if (depth >= DIMENSIONS_MAX)
      throw new SqlError(
        SqlState.programLimitExceeded,
        `number of array dimensions (${depth + 1}) exceeds the maximum allowed (${DIMENSIONS_MAX})`,
      );
    this.#at++;
    this.#spaces();
    let members = 0;
    if (this.#text[this.#at] === '}' && this.#depth === -1) this.#depth = depth;
    else
      for (;;) {
        this.#spaces();
        if (this.#text[this.#at] === '{') this.#level(depth + 1);
        else this.#element(depth);
        members++;
        this.#spaces();
        if (this.#text[this.#at] !== ',') break;
        this.#at++;
      }
    if (this.#text[this.#at] !== '}')
      throw this.#malformed(this.#at < this.#text.length ? 'Unexpected array element.' : 'Unexpected end of input.');
    this.#at++;
    if ((this.#lengths[depth] ??= members) !== members)
      throw this.#malformed('Multidimensional arrays must have sub-arrays with matching dimensions.');
  }

  #element(depth: number): void {
    if (this.#depth === -1) this.#depth = depth;
    if (this.#depth !== depth)
      throw this.#malformed('Multidimensional arrays must have sub-arrays with matching dimensions.');
    const text = this.#text;
    let value = '';
    if (text[this.#at] === '"') {
      for (this.#at++; text[this.#at] !== '"'; this.#at++) {
        if (text[this.#at] === '\\') this.#at++;
        if (this.#at >= text.length) throw this.#malformed('Unexpected end of input.');
        value += text[this.#at]!;
      }
      this.#at++;
      this.#items.push(value);
      return;
    }
    let isEscaped = false;
    let length = 0; // without blanks at the end
    for (; this.#at < text.length && !',{}"'.includes(text[this.#at]!); this.#at++) {
      if (text[this.#at] === '\\') {
        isEscaped = true;
        this.#at++;
        if (this.#at >= text.length) throw this.#malformed('Unexpected end of input.');
        value += text[this.#at]!;
        length = value.length;
        continue;
      }
      value += text[this.#at]!;
      if (!isSpace(text.charCodeAt(this.#at))) length = value.length;
    }
    if (length === 0)
      throw this.#malformed(
        this.#at < text.length ? `Unexpected "${text[this.#at]!}" character.` : 'Unexpected end of input.',
      );
    const item = value.slice(0, length);
    this.#items.push(!isEscaped && item.toUpperCase() === 'NULL' ? null : item);
  }
}

/** As array_out writes it. */
export function arrayText({ lengths, lowerBounds, items }: ArrayValue): string {
  if (items.length === 0) return '{}';
  let next = 0;
  const level = (depth: number): string => {
    const members: string[] = [];
    for (let i = 0; i < lengths[depth]!; i++)
      members.push(depth + 1 < lengths.length ? level(depth + 1) : elementText(items[next++]!));
    return `{${members.join(',')}}`;
  };
  const bounds = lowerBounds.every((bound) => bound === 1)
    ? ''
    : `${lengths.map((length, i) => `[${lowerBounds[i]!}:${lowerBounds[i]! + length - 1}]`).join('')}=`;
  return bounds + level(0);
}

function elementText(item: string | null): string {
  if (item === null) return 'NULL';
  if (item !== '' && !/["\\{}, \t-\r]/.test(item) && item.toUpperCase() !== 'NULL') return item;
  return `"${item.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

const TEXT_LIKE: ReadonlySet<number> = new Set([Oid.text, Oid.varchar, Oid.bpchar, Oid.name, Oid.json, Oid.unknown]);

/** Writes an element's text in the binary format. */
function elementOutput(element: number): (text: string, out: ByteWriter) => void {
  if (TEXT_LIKE.has(element)) return (text, out) => out.utf8(text);
  if (element === Oid.numeric) return numericBinary;
  const type = { oid: element, typmod: -1 };
  const info = columnTypeInfo(element);
  if (info === undefined)
    throw notSupported(`the binary format of an array of ${formatType(type)}`, { hint: 'Ask for the text format.' });
  const input = textInput(type);
  const output = binaryOutput(type, { timeZone: UTC });
  return (text, out) => {
    const builder = new VectorBuilder(info.physical);
    const bytes = encodeText(text);
    input(bytes, 0, bytes.length, builder);
    output(builder.vector(), 0, out);
  };
}

/** @throws {SqlError} 0A000 at once for elements without a binary form here */
export function arrayBinary(element: number): (value: ArrayValue, out: ByteWriter) => void {
  const putElement = elementOutput(element);
  return ({ lengths, lowerBounds, items }, out) => {
    out.i32(lengths.length);
    out.i32(items.includes(null) ? 1 : 0);
    out.i32(element);
    lengths.forEach((length, i) => {
      out.i32(length);
      out.i32(lowerBounds[i]!);
    });
    for (const item of items) {
      if (item === null) {
        out.i32(-1);
        continue;
      }
      const at = out.length;
      out.i32(0);
      putElement(item, out);
      out.setI32(at, out.length - at - 4);
    }
  };
}

const wrong = (message = 'incorrect binary data format'): SqlError =>
  new SqlError(SqlState.invalidBinaryRepresentation, message);

/**
 * The array of a binary value.
 * @param elementText the text of one element's binary value
 * @throws {SqlError} 22P03, 42804 where the value says that it is of other elements
 */
export function arrayOfBinary(
  bytes: Uint8Array,
  element: number,
  elementText: (value: Uint8Array) => string,
): ArrayValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const int32 = (): number => {
    if (at + 4 > bytes.length) throw wrong('insufficient data left in message');
    at += 4;
    return view.getInt32(at - 4);
  };
  const dimensions = int32();
  if (dimensions < 0) throw wrong(`invalid number of dimensions: ${dimensions}`);
  if (dimensions > DIMENSIONS_MAX)
    throw new SqlError(
      SqlState.programLimitExceeded,
      `number of array dimensions (${dimensions}) exceeds the maximum allowed (${DIMENSIONS_MAX})`,
    );
  const flags = int32();
  if (flags !== 0 && flags !== 1) throw wrong('invalid array flags');
  const given = int32() >>> 0;
  if (given !== element)
    throw new SqlError(
      SqlState.datatypeMismatch,
      `binary data has array element type ${given} (${formatType({ oid: given, typmod: -1 })}) instead of expected ${element} (${formatType({ oid: element, typmod: -1 })})`,
    );
  const lengths: number[] = [];
  const lowerBounds: number[] = [];
  let count = dimensions === 0 ? 0 : 1;
  for (let i = 0; i < dimensions; i++) {
    const length = int32();
    if (length < 0) throw wrong();
    lengths.push(length);
    lowerBounds.push(int32());
    count *= length;
  }
  // Each element has its length at least: nothing larger is believed.
  if (count * 4 > bytes.length - at) throw wrong('insufficient data left in message');
  const items: (string | null)[] = [];
  for (let i = 0; i < count; i++) {
    const length = int32();
    if (length < -1 || length > bytes.length - at) throw wrong('insufficient data left in message');
    items.push(length === -1 ? null : elementText(bytes.subarray(at, at + length)));
    at += Math.max(length, 0);
  }
  if (at !== bytes.length) throw wrong();
  return count === 0 ? { lengths: [], lowerBounds: [], items } : { lengths, lowerBounds, items };
}
