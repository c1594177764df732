/**
 * Messages of a client that speaks another encoding than UTF-8, as the rest knows them and back: all texts of the protocol. Who speaks UTF-8 has none.
 *
 * - E1 A message that has a character which the client's encoding lacks is an error in its place: 22P05, of rows before they are sent. What
 *   is said besides (notices, parameters) has `?` there instead.
 * - E2 In binary format texts are texts, too: those of character types and json, and in arrays of these.
 */
import { isAscii } from 'node:buffer';
import { SqlError, notSupported } from '../errors.ts';
import { int32At } from '../types/binary-input.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { ClientEncoding, encodingName } from '../types/client-encoding.ts';
import { Oid, elementType } from '../types/pg-type.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { errorResponse } from './backend-messages.ts';
import { MessageParameters } from './bound-parameters.ts';
import type { Prepared } from './gateway-api.ts';

const code = (letter: string): number => letter.charCodeAt(0);
const DATA_ROW = code('D');
const ROW_DESCRIPTION = code('T');
const ERROR = code('E');
const NOTICE = code('N');
const COMMAND_COMPLETE = code('C');
const PARAMETER_STATUS = code('S');
const NOTIFICATION = code('A');
/** Bytes of a column in a RowDescription behind its name. */
const COLUMN_BYTES = 18;
const INSTEAD = code('?');

/** How a field's bytes are texts. */
type Kind = 'text' | 'array' | 'bytes';

export class Transcoder {
  readonly encoding: ClientEncoding;
  #kinds: readonly Kind[] = [];

  constructor(encoding: ClientEncoding) {
    this.encoding = encoding;
  }

  /** The rows that follow are of these columns. */
  describe(columns: readonly ResultColumn[], formats: readonly Format[]): void {
    this.#kinds = columns.map(({ typeOid }, i) => kindOf(typeOid, formats[i] ?? 0));
  }

  /** A text of the client's as UTF-8. @throws {SqlError} 22P05 */
  received(bytes: Uint8Array): Uint8Array {
    return this.encoding.toUtf8(bytes);
  }

  /** @throws {SqlError} 22P05 */
  parameters(given: MessageParameters, { parameterOids }: Prepared): MessageParameters {
    const { formats, starts, ends, bytes } = given;
    if (isAscii(bytes.subarray(Math.min(...starts.filter((start) => start >= 0)), Math.max(0, ...ends)))) return given;
    const out = new ByteWriter(bytes.length);
    const convert = (from: Uint8Array, start: number, end: number): void =>
      out.raw(this.received(from.subarray(start, end)));
    const to = starts.map((start, i) => {
      if (start < 0) return [-1, -1] as const;
      const at = out.length;
      field(
        kindOf(parameterOids[i]!, formats[formats.length === 1 ? 0 : i] ?? 0),
        bytes,
        start,
        ends[i]!,
        out,
        convert,
      );
      return [at, out.length] as const;
    });
    return new MessageParameters(
      formats,
      out.take(),
      to.map(([start]) => start),
      to.map(([, end]) => end),
    );
  }

  /** Appends the message at `at` as the client reads it; where the next one begins. @throws {SqlError} 22P05, with nothing appended */
  send(from: Uint8Array, at: number, out: ByteWriter): number {
    const end = messageEnd(from, at);
    if (isAscii(from.subarray(at + 5, end))) {
      out.raw(from, at, end);
      return end;
    }
    try {
      rewritten(from, at, out, () => this.#body(from[at]!, from, at + 5, end, out));
    } catch (error) {
      if (from[at] !== ERROR || !(error instanceof SqlError)) throw error;
      errorResponse(out, error, 'ERROR');
    }
    return end;
  }

  #body(type: number, from: Uint8Array, start: number, end: number, out: ByteWriter): void {
    const convert = (bytes: Uint8Array, at: number, to: number): void => this.encoding.fromUtf8(bytes, at, to, out);
    switch (type) {
      case DATA_ROW:
        return this.#row(from, start, out, convert);
      case ROW_DESCRIPTION:
        return this.#columns(from, start, out);
      case ERROR:
        return convert(from, start, end);
      case NOTICE:
      case COMMAND_COMPLETE:
      case PARAMETER_STATUS:
        return this.encoding.fromUtf8(from, start, end, out, INSTEAD);
      case NOTIFICATION:
        out.raw(from, start, start + 4);
        return this.encoding.fromUtf8(from, start + 4, end, out, INSTEAD);
      default:
        return out.raw(from, start, end);
    }
  }

  #row(from: Uint8Array, start: number, out: ByteWriter, convert: Convert): void {
    const count = (from[start]! << 8) | from[start + 1]!;
    out.raw(from, start, start + 2);
    for (let i = 0, at = start + 2; i < count; i++) {
      const length = int32At(from, at);
      const end = at + 4 + Math.max(0, length);
      const lengthAt = out.length;
      out.raw(from, at, at + 4);
      if (length > 0) {
        field(this.#kinds[i] ?? 'text', from, at + 4, end, out, convert);
        out.setI32(lengthAt, out.length - lengthAt - 4);
      }
      at = end;
    }
  }

  #columns(from: Uint8Array, start: number, out: ByteWriter): void {
    const count = (from[start]! << 8) | from[start + 1]!;
    out.raw(from, start, start + 2);
    for (let i = 0, at = start + 2; i < count; i++) {
      const end = from.indexOf(0, at);
      this.encoding.fromUtf8(from, at, end, out);
      at = end + 1 + COLUMN_BYTES;
      out.raw(from, end, at);
    }
  }
}

/** @param name of client_encoding. Null: UTF-8 goes as it is */
export function transcoderOf(name: string): Transcoder | null {
  const encoding = ClientEncoding.of(name);
  return encoding === null ? null : new Transcoder(encoding);
}

/** Of the data of a COPY. @param named by its option; left out: the client's. @throws {SqlError} 0A000 */
export function copyEncoding(named: string | null, client: Transcoder | null, format: Format): ClientEncoding | null {
  const encoding = named === null ? (client?.encoding ?? null) : ClientEncoding.of(encodingName(named) ?? 'UTF8');
  if (encoding !== null && format === 1) throw notSupported('COPY in binary format with another encoding than UTF8');
  return encoding;
}

export function messageEnd(bytes: Uint8Array, at: number): number {
  return at + 1 + int32At(bytes, at + 1);
}

/** Appends a CopyData message; where the next one begins. @throws {SqlError} 22P05, with nothing appended */
export function sendCopyData(encoding: ClientEncoding | null, from: Uint8Array, at: number, out: ByteWriter): number {
  const end = messageEnd(from, at);
  rewritten(from, at, out, () => {
    if (encoding === null) out.raw(from, at + 5, end);
    else encoding.fromUtf8(from, at + 5, end, out);
  });
  return end;
}

/** Appends the message at `at` with what `body` appends. @throws what that throws, with nothing appended */
function rewritten(from: Uint8Array, at: number, out: ByteWriter, body: () => void): void {
  const start = out.length;
  out.raw(from, at, at + 5);
  try {
    body();
  } catch (error) {
    out.length = start;
    throw error;
  }
  out.setI32(start + 1, out.length - start - 1);
}

type Convert = (bytes: Uint8Array, start: number, end: number) => void;

function kindOf(oid: number, format: Format): Kind {
  if (format === 0 || TEXTS.has(oid)) return 'text';
  return TEXTS.has(elementType(oid) ?? 0) ? 'array' : 'bytes';
}

/** jsonb among them: the version before its text is a byte of ASCII. */
const TEXTS: ReadonlySet<number> = new Set([
  Oid.text,
  Oid.varchar,
  Oid.bpchar,
  Oid.name,
  Oid.unknown,
  Oid.json,
  Oid.jsonb,
]);

function field(kind: Kind, from: Uint8Array, start: number, end: number, out: ByteWriter, convert: Convert): void {
  if (kind === 'text') return convert(from, start, end);
  if (kind === 'bytes' || end - start < 12) return out.raw(from, start, end);
  const head = start + 12 + 8 * int32At(from, start);
  if (head > end || head < start) return out.raw(from, start, end); // the reader says what is wrong with it
  out.raw(from, start, head);
  for (let at = head; at + 4 <= end;) {
    const length = Math.min(int32At(from, at), end - at - 4);
    const lengthAt = out.length;
    out.raw(from, at, at + 4);
    at += 4;
    if (length <= 0) continue;
    convert(from, at, at + length);
    out.setI32(lengthAt, out.length - lengthAt - 4);
    at += length;
  }
  return undefined;
}
