/**
 * Backend messages as bytes, appended to a ByteWriter. One function a message, named as in the protocol's chapter
 * "Message Formats"; `length` counts itself and is written last where it is not known before.
 */
import type { SqlError } from '../errors.ts';
import type { ByteWriter } from '../types/byte-writer.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { Notice, TransactionStatus } from './gateway-api.ts';

const type = (letter: string): number => letter.charCodeAt(0);

/** A string of the protocol: a zero byte inside would end it early, so it is dropped. */
function string(out: ByteWriter, text: string): void {
  out.utf8(text.includes('\0') ? text.replaceAll('\0', '') : text);
  out.u8(0);
}

function open(out: ByteWriter, letter: string): number {
  out.u8(type(letter));
  out.i32(0);
  return out.length - 4;
}

function close(out: ByteWriter, lengthAt: number): void {
  out.setI32(lengthAt, out.length - lengthAt);
}

function empty(out: ByteWriter, letter: string): void {
  out.u8(type(letter));
  out.i32(4);
}

export const parseComplete = (out: ByteWriter): void => empty(out, '1');
export const bindComplete = (out: ByteWriter): void => empty(out, '2');
export const closeComplete = (out: ByteWriter): void => empty(out, '3');
export const emptyQueryResponse = (out: ByteWriter): void => empty(out, 'I');
export const noData = (out: ByteWriter): void => empty(out, 'n');
export const portalSuspended = (out: ByteWriter): void => empty(out, 's');

export function authenticationOk(out: ByteWriter): void {
  out.u8(type('R'));
  out.i32(8);
  out.i32(0);
}

export function parameterStatus(out: ByteWriter, name: string, value: string): void {
  const at = open(out, 'S');
  string(out, name);
  string(out, value);
  close(out, at);
}

export function authenticationSasl(out: ByteWriter, mechanisms: readonly string[]): void {
  const at = open(out, 'R');
  out.i32(10);
  for (const mechanism of mechanisms) string(out, mechanism);
  out.u8(0);
  close(out, at);
}

export const authenticationSaslContinue = (out: ByteWriter, data: string): void => authenticationData(out, 11, data);
export const authenticationSaslFinal = (out: ByteWriter, data: string): void => authenticationData(out, 12, data);

function authenticationData(out: ByteWriter, code: number, data: string): void {
  const at = open(out, 'R');
  out.i32(code);
  out.utf8(data);
  close(out, at);
}

export function backendKeyData(out: ByteWriter, pid: number, key: Uint8Array): void {
  const at = open(out, 'K');
  out.i32(pid);
  out.raw(key);
  close(out, at);
}

/** `version` is the newest that the server speaks, as major << 16 | minor (what PostgreSQL sends and libpq reads). */
export function negotiateProtocolVersion(out: ByteWriter, version: number, options: readonly string[]): void {
  const at = open(out, 'v');
  out.i32(version);
  out.i32(options.length);
  for (const option of options) string(out, option);
  close(out, at);
}

export function notificationResponse(out: ByteWriter, pid: number, channel: string, payload: string): void {
  const at = open(out, 'A');
  out.i32(pid);
  string(out, channel);
  string(out, payload);
  close(out, at);
}

export function readyForQuery(out: ByteWriter, status: TransactionStatus): void {
  out.u8(type('Z'));
  out.i32(5);
  out.u8(type(status));
}

export function commandComplete(out: ByteWriter, tag: string): void {
  const at = open(out, 'C');
  string(out, tag);
  close(out, at);
}

export function parameterDescription(out: ByteWriter, oids: readonly number[]): void {
  const at = open(out, 't');
  out.i16(oids.length);
  for (const oid of oids) out.i32(oid);
  close(out, at);
}

export function rowDescription(out: ByteWriter, columns: readonly ResultColumn[], formats: readonly Format[]): void {
  const at = open(out, 'T');
  out.i16(columns.length);
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!;
    string(out, column.name);
    out.i32(column.tableOid);
    out.i16(column.attnum);
    out.i32(column.typeOid);
    out.i16(column.typlen);
    out.i32(column.typmod);
    out.i16(formats[i] ?? 0);
  }
  close(out, at);
}

export const copyInResponse = (out: ByteWriter, columnCount: number, format: Format): void =>
  copyResponse(out, 'G', columnCount, format);

export const copyOutResponse = (out: ByteWriter, columnCount: number, format: Format): void =>
  copyResponse(out, 'H', columnCount, format);

function copyResponse(out: ByteWriter, type: 'G' | 'H', columnCount: number, format: Format): void {
  const at = open(out, type);
  out.u8(format);
  out.i16(columnCount);
  for (let i = 0; i < columnCount; i++) out.i16(format);
  close(out, at);
}

export const copyDone = (out: ByteWriter): void => empty(out, 'c');

function field(out: ByteWriter, letter: string, text: string | number | undefined): void {
  if (text === undefined) return;
  out.u8(type(letter));
  string(out, String(text));
}

export function errorResponse(out: ByteWriter, error: SqlError, severity: 'ERROR' | 'FATAL' | 'PANIC'): void {
  const at = open(out, 'E');
  field(out, 'S', severity);
  field(out, 'V', severity);
  field(out, 'C', error.code);
  field(out, 'M', error.message);
  field(out, 'D', error.fields.detail);
  field(out, 'H', error.fields.hint);
  field(out, 'P', error.fields.position);
  field(out, 'W', error.fields.where);
  field(out, 's', error.fields.schema);
  field(out, 't', error.fields.table);
  field(out, 'c', error.fields.column);
  field(out, 'd', error.fields.dataType);
  field(out, 'n', error.fields.constraint);
  out.u8(0);
  close(out, at);
}

export function noticeResponse(out: ByteWriter, notice: Notice): void {
  const at = open(out, 'N');
  field(out, 'S', notice.severity);
  field(out, 'V', notice.severity);
  field(out, 'C', notice.code);
  field(out, 'M', notice.message);
  if (notice.detail !== undefined) field(out, 'D', notice.detail);
  out.u8(0);
  close(out, at);
}
