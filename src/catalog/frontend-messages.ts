/**
 * The messages that go into PGlite: PostgreSQL's protocol 3.0, frontend side, appended to one ByteWriter.
 *
 * `type u8 | length i32 (itself included) | body`; strings end with a zero byte, so none may hold one.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ByteWriter } from '../types/byte-writer.ts';
import type { Format } from '../types/result-column.ts';

function begin(out: ByteWriter, type: string): number {
  out.ascii(type);
  out.i32(0);
  return out.length - 4;
}

function end(out: ByteWriter, at: number): void {
  out.setI32(at, out.length - at);
}

function cstring(out: ByteWriter, text: string): void {
  if (text.includes('\0'))
    throw new SqlError(SqlState.characterNotInRepertoire, 'invalid byte sequence for encoding "UTF8": 0x00');
  out.utf8(text);
  out.u8(0);
}

export function writeQuery(out: ByteWriter, sql: string): void {
  const at = begin(out, 'Q');
  cstring(out, sql);
  end(out, at);
}

export function writeParse(out: ByteWriter, sql: string, parameterOids: readonly number[]): void {
  const at = begin(out, 'P');
  out.u8(0);
  cstring(out, sql);
  out.i16(parameterOids.length);
  for (const oid of parameterOids) out.i32(oid);
  end(out, at);
}

export interface Bind {
  readonly values: readonly (Uint8Array | null)[];
  readonly formats: readonly Format[];
  readonly resultFormats: readonly Format[];
}

export function writeBind(out: ByteWriter, bind: Bind): void {
  const at = begin(out, 'B');
  out.i16(0); // two empty names: portal and statement
  out.i16(bind.formats.length);
  for (const format of bind.formats) out.i16(format);
  out.i16(bind.values.length);
  for (const value of bind.values) {
    if (value === null) {
      out.i32(-1);
    } else {
      out.i32(value.length);
      out.raw(value);
    }
  }
  out.i16(bind.resultFormats.length);
  for (const format of bind.resultFormats) out.i16(format);
  end(out, at);
}

export function writeDescribe(out: ByteWriter, what: 'statement' | 'portal'): void {
  const at = begin(out, 'D');
  out.ascii(what === 'statement' ? 'S' : 'P');
  out.u8(0);
  end(out, at);
}

export function writeExecute(out: ByteWriter): void {
  const at = begin(out, 'E');
  out.u8(0);
  out.i32(0);
  end(out, at);
}

export function writeSync(out: ByteWriter): void {
  end(out, begin(out, 'S'));
}
