/**
 * The benchmark's table, and its rows as bytes of every form that a client sends. Every row of a form has the same length, so a
 * request is a copy of one template whose digits are written in place: no string, no object, no allocation a row.
 */
import { int16, int32, message } from '../process/wire-connection.ts';

export const TABLE = 'arka_bench';
export const COLUMNS = 'id bigint PRIMARY KEY, ts timestamptz, v int, name text, price float8, payload json, ok bool';
export const INSERT_PREPARED = `INSERT INTO ${TABLE} VALUES ($1, $2, $3, $4, $5, $6, $7)`;
/** Ids have ten digits from here on. */
export const FIRST_ID = 1_000_000_000;
/** 2026-01-01 as PostgreSQL counts, from 2000-01-01. */
const TS_EPOCH_MICROS = (Date.UTC(2026, 0, 1) - Date.UTC(2000, 0, 1)) * 1000;

/** What a row holds of its id. A placeholder in a template is a run of one of these characters, a digit each. */
const VALUE_OF: Readonly<Record<string, (id: number) => number>> = {
  '\x01': (id) => id,
  '\x02': (id) => valueOf(id),
  '\x03': (id) => 1000 + ((id * 7) % 9000), //      name
  '\x04': (id) => id % 60, //                       seconds
  '\x05': (id) => (id * 37) % 1_000_000, //         microseconds
  '\x06': (id) => 1000 + ((id * 13) % 9000), //     price
  '\x07': (id) => 100_000 + ((id * 101) % 900_000), // user
};
export const valueOf = (id: number): number => 100 + (id % 900);

const run = (char: string, digits: number): string => char.repeat(digits);
const ID = run('\x01', 10);
const V = run('\x02', 3);
const NAME = `customer ${run('\x03', 4)}`;
const TS = `2026-01-01 00:00:${run('\x04', 2)}.${run('\x05', 6)}+00`;
const PRICE = `${run('\x06', 4)}.25`;
const PAYLOAD = `{"user":${run('\x07', 6)},"page":"/products/items","ref":"mail","n":${run('\x02', 3)}}`;
const FIELDS = [ID, TS, V, NAME, PRICE, PAYLOAD, 't'];

interface Slot {
  readonly at: number;
  readonly digits: number;
  readonly value: (id: number) => number;
}

/** One row's bytes, and where its digits stand. */
export interface RowTemplate {
  readonly bytes: Buffer;
  readonly slots: readonly Slot[];
}

function template(bytes: Buffer): RowTemplate {
  const slots: Slot[] = [];
  for (let at = 0; at < bytes.length;) {
    const char = String.fromCharCode(bytes[at]!);
    let end = at + 1;
    while (end < bytes.length && bytes[end] === bytes[at]) end++;
    const value = VALUE_OF[char];
    // lengths in binary headers hold these bytes too, but never two of them side by side
    if (value !== undefined && end - at > 1) slots.push({ at, digits: end - at, value });
    at = end;
  }
  return { bytes, slots };
}

export function writeRow(target: Uint8Array, start: number, row: RowTemplate, id: number): void {
  for (const { at, digits, value } of row.slots) {
    let rest = value(id);
    for (let i = start + at + digits - 1; i >= start + at; i--) {
      const next = Math.floor(rest / 10);
      target[i] = 48 + rest - next * 10;
      rest = next;
    }
  }
}

const sqlValues = `(${ID},'${TS}',${V},'${NAME}',${PRICE},'${PAYLOAD}',true)`;
const csvLine = [ID, TS, V, NAME, PRICE, `"${PAYLOAD.replaceAll('"', '""')}"`, 't'].join(',');

/** A request of `rows` rows that can be sent for any first id. */
export interface Request {
  readonly rows: number;
  readonly bytes: Buffer;
  /** Writes rows `id`, `id` + 1, … into `bytes`. */
  readonly fill: (id: number) => void;
}

/** `head`, then the template `rows` times, joined, then `tail`. */
function request(
  rows: number,
  row: RowTemplate,
  head: Uint8Array,
  join: string,
  wrap: (body: Buffer) => Buffer,
): Request {
  const stride = row.bytes.length + join.length;
  const parts: Uint8Array[] = [head];
  for (let i = 0; i < rows; i++) {
    if (i > 0) parts.push(Buffer.from(join));
    parts.push(row.bytes);
  }
  const body = Buffer.concat(parts);
  const bytes = wrap(body);
  const first = bytes.indexOf(body) + head.length;
  return {
    rows,
    bytes,
    fill: (id) => {
      for (let i = 0; i < rows; i++) writeRow(bytes, first + i * stride, row, id + i);
    },
  };
}

/** One Query message: `INSERT INTO … VALUES (…), (…)`. */
export function insertStatement(rows: number): Request {
  const head = Buffer.from(`INSERT INTO ${TABLE} VALUES `);
  return request(rows, template(Buffer.from(sqlValues)), head, ',', (body) => message('Q', body, '\0'));
}

/** Bind and Execute of the prepared statement `i`, `rows` times, then one Sync: parameters as text, as most drivers send them. */
export function insertPrepared(rows: number): Request {
  const values = FIELDS.flatMap((field) => [int32(field.length), Buffer.from(field)]);
  const bind = message('B', '\0', 'i\0', int16(0), int16(FIELDS.length), ...values, int16(0));
  const one = Buffer.concat([bind, message('E', '\0', int32(0))]);
  return request(rows, template(one), Buffer.alloc(0), '', (body) => Buffer.concat([body, message('S')]));
}

export type CopyFormat = 'text' | 'csv' | 'binary';
export const copyStatement = (format: CopyFormat): string => `COPY ${TABLE} FROM STDIN (FORMAT ${format})`;
const COPY_DATA_BYTES = 64 * 1024;

/** The whole of a COPY as CopyData messages of up to 64 KB and CopyDone, made before the clock starts. */
export function copyBytes(format: CopyFormat, firstId: number, rows: number): Buffer {
  const one = format === 'binary' ? null : Buffer.from(`${format === 'text' ? FIELDS.join('\t') : csvLine}\n`);
  const line = one === null ? null : template(one);
  const row = line?.bytes ?? binaryRow();
  const perMessage = Math.floor(COPY_DATA_BYTES / row.length);
  const messages = Math.ceil(rows / perMessage);
  const header = format === 'binary' ? message('d', Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')) : null;
  const tail = Buffer.concat([...(format === 'binary' ? [message('d', int16(-1))] : []), message('c')]);
  const bytes = Buffer.allocUnsafe((header?.length ?? 0) + messages * 5 + rows * row.length + tail.length);
  let at = header?.copy(bytes, 0) ?? 0;
  for (let done = 0; done < rows; done += perMessage) {
    const count = Math.min(perMessage, rows - done);
    bytes[at] = 0x64;
    bytes.writeInt32BE(count * row.length + 4, at + 1);
    at += 5;
    for (let i = 0; i < count; i++, at += row.length) {
      bytes.set(row, at);
      if (line !== null) writeRow(bytes, at, line, firstId + done + i);
      else fillBinary(bytes, at, firstId + done + i);
    }
  }
  tail.copy(bytes, at);
  return bytes;
}

const nameRow = template(Buffer.from(NAME));
const payloadRow = template(Buffer.from(PAYLOAD));
const AT_ID = 6;
const AT_TS = AT_ID + 8 + 4;
const AT_V = AT_TS + 8 + 4;
const AT_NAME = AT_V + 4 + 4;
const AT_PRICE = AT_NAME + NAME.length + 4;
const AT_PAYLOAD = AT_PRICE + 8 + 4;

function binaryRow(): Buffer {
  const fields = [Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(4), Buffer.from(NAME), Buffer.alloc(8)];
  const all = [...fields, Buffer.from(PAYLOAD), Buffer.from([1])];
  return Buffer.concat([int16(all.length), ...all.flatMap((field) => [int32(field.length), field])]);
}

function fillBinary(bytes: Buffer, at: number, id: number): void {
  bytes.writeUInt32BE(Math.floor(id / 2 ** 32), at + AT_ID);
  bytes.writeUInt32BE(id >>> 0, at + AT_ID + 4);
  const micros = TS_EPOCH_MICROS + (id % 60) * 1e6 + ((id * 37) % 1_000_000);
  bytes.writeUInt32BE(Math.floor(micros / 2 ** 32), at + AT_TS);
  bytes.writeUInt32BE(micros % 2 ** 32, at + AT_TS + 4);
  bytes.writeInt32BE(valueOf(id), at + AT_V);
  writeRow(bytes, at + AT_NAME, nameRow, id);
  bytes.writeDoubleBE(1000 + ((id * 13) % 9000) + 0.25, at + AT_PRICE);
  writeRow(bytes, at + AT_PAYLOAD, payloadRow, id);
}
