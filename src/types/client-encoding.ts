/**
 * The encodings that a client may speak in beside UTF-8: those of one byte a character, with ASCII below 0x80, by PostgreSQL's names and with its
 * tables. SQL_ASCII stands for whatever the server has, which is UTF-8.
 */
import { isAscii } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';
import type { ByteWriter } from './byte-writer.ts';

/** The label of the same table elsewhere; null: the code points themselves. */
const TABLES: Readonly<Record<string, string | null>> = {
  LATIN1: null,
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'windows-1254', // and the code points of 0x80 to 0x9f themselves
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
};
/** Where PostgreSQL's tables have something else; 0: nothing. */
const OWN: Readonly<Record<string, readonly (readonly [byte: number, code: number])[]>> = {
  WIN1255: [[0xca, 0]],
  KOI8U: [
    [0xae, 0x255d],
    [0xbe, 0x256c],
  ],
};

/** Without case and signs, as they are compared. */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z\d]/g, '');

const NAMES: ReadonlyMap<string, string> = new Map([
  ...['UTF8', 'SQL_ASCII', ...Object.keys(TABLES)].map((name): [string, string] => [plain(name), name]),
  ...[1, 2, 3, 4].map((n): [string, string] => [`iso8859${n}`, `LATIN${n}`]),
  ...Object.keys(TABLES)
    .filter((name) => name.startsWith('WIN'))
    .map((name): [string, string] => [`windows${name.slice(3)}`, name]),
  ['unicode', 'UTF8'],
  ['iso88599', 'LATIN5'],
  ['iso885910', 'LATIN6'],
  ['iso885913', 'LATIN7'],
  ['iso885914', 'LATIN8'],
  ['iso885915', 'LATIN9'],
  ['iso885916', 'LATIN10'],
  ['koi8', 'KOI8R'],
  ['win', 'WIN1251'],
  ['alt', 'WIN866'],
  ['abc', 'WIN1258'],
  ['tcvn', 'WIN1258'],
  ['tcvn5712', 'WIN1258'],
  ['vscii', 'WIN1258'],
]);
/** PostgreSQL's others, of several bytes a character. */
const OTHERS =
  /^(eucjp|euccn|euckr|euctw|eucjis2004|mule(internal)?|sjis|shiftjis|mskanji|windows9(32|36|49|50)|win9(32|36|49|50)|big5|gbk|uhc|gb18030|johab|shiftjis2004)$/;

/** PostgreSQL's spelling. Undefined: there is no encoding of that name; null: it is one that is not built. */
export function encodingName(name: string): string | null | undefined {
  const key = plain(name);
  return NAMES.get(key) ?? (OTHERS.test(key) ? null : undefined);
}

export class ClientEncoding {
  readonly #name: string;
  /** UTF-8 of each byte; empty: it stands for nothing. */
  readonly #utf8: readonly Uint8Array[];
  readonly #bytes: ReadonlyMap<number, number>;

  private constructor(name: string) {
    this.#name = name;
    const codes = codesOf(name);
    const encoder = new TextEncoder();
    this.#utf8 = codes.map((code) => encoder.encode(code === 0 ? '' : String.fromCodePoint(code)));
    this.#bytes = new Map(codes.flatMap((code, byte) => (code === 0 ? [] : [[code, byte]])));
  }

  static readonly #made = new Map<string, ClientEncoding>();

  /** @param name as `encodingName` spells it. Null: UTF-8 goes as it is */
  static of(name: string): ClientEncoding | null {
    if (!Object.hasOwn(TABLES, name)) return null;
    const made = this.#made.get(name) ?? new ClientEncoding(name);
    this.#made.set(name, made);
    return made;
  }

  /** UTF-8 of a client's bytes: the same view where they are ASCII. @throws {SqlError} 22P05 for a byte that stands for nothing */
  toUtf8(bytes: Uint8Array): Uint8Array {
    if (isAscii(bytes)) return bytes;
    const out = new Uint8Array(bytes.length * 3);
    let length = 0;
    for (const byte of bytes) {
      if (byte < 0x80) out[length++] = byte;
      else {
        const character = this.#utf8[byte]!;
        if (character.length === 0) throw untranslatable([byte], this.#name, 'UTF8');
        out.set(character, length);
        length += character.length;
      }
    }
    return out.subarray(0, length);
  }

  /** Appends valid UTF-8 as the client has it. @param instead what stands for a character that it has not. @throws {SqlError} 22P05 */
  fromUtf8(utf8: Uint8Array, start: number, end: number, out: ByteWriter, instead?: number): void {
    out.reserve(end - start);
    for (let at = start; at < end;) {
      const first = utf8[at]!;
      if (first < 0x80) {
        out.bytes[out.length++] = first;
        at++;
        continue;
      }
      const width = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
      let code = first & (0x7f >> width);
      for (let i = 1; i < width; i++) code = (code << 6) | (utf8[at + i]! & 0x3f);
      const byte = this.#bytes.get(code) ?? instead;
      if (byte === undefined) throw untranslatable(utf8.subarray(at, at + width), 'UTF8', this.#name);
      out.bytes[out.length++] = byte;
      at += width;
    }
  }
}

function codesOf(name: string): readonly number[] {
  const label = TABLES[name] ?? null;
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const codes = Array.from(all);
  if (label !== null) {
    const decoder = new TextDecoder(label);
    for (const byte of all.subarray(0x80)) codes[byte] = codeOf(name, byte, decoder);
  }
  for (const [byte, code] of OWN[name] ?? []) codes[byte] = code;
  return codes;
}

function codeOf(name: string, byte: number, decoder: InstanceType<typeof TextDecoder>): number {
  if (name === 'LATIN5' && byte < 0xa0) return byte;
  const code = decoder.decode(Uint8Array.of(byte)).codePointAt(0)!;
  // The web has given every byte of Windows' tables a character.
  const isGivenAway = code === byte && byte < 0xa0 && name.startsWith('WIN');
  return isGivenAway || code === 0xfffd ? 0 : code;
}

function untranslatable(bytes: Iterable<number>, from: string, to: string): SqlError {
  const shown = Array.from(bytes, (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
  return new SqlError(
    SqlState.untranslatableCharacter,
    `character with byte sequence ${shown} in encoding "${from}" has no equivalent in encoding "${to}"`,
  );
}
