/**
 * The messages that come out of PGlite: PostgreSQL's protocol 3.0, backend side. DataRow messages stay bytes.
 *
 * An answer is parsed whole: PGlite answers a batch before it returns. One that breaks off means that the session
 * inside is lost (a WebAssembly trap); it shows as a missing ReadyForQuery.
 */
import { SqlError, type SqlErrorFields, type SqlState } from '../errors.ts';
import type { ResultColumn } from '../types/result-column.ts';

export interface Answer {
  readonly parameterOids: readonly number[];
  /** Of the last RowDescription; null when there was none. */
  readonly columns: readonly ResultColumn[] | null;
  /** Where DataRow messages lie in the bytes, as start and end of each run without another message between. */
  readonly runs: readonly number[];
  readonly rows: number;
  /** The last CommandComplete's. */
  readonly tag: string;
  /** The first ErrorResponse. */
  readonly error: SqlError | null;
  readonly notices: readonly SqlError[];
  /** Count of ReadyForQuery. */
  readonly ready: number;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function parseAnswer(bytes: Uint8Array): Answer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const runs: number[] = [];
  let parameterOids: readonly number[] = [];
  let columns: readonly ResultColumn[] | null = null;
  let rows = 0;
  let tag = '';
  let error: SqlError | null = null;
  const notices: SqlError[] = [];
  let ready = 0;
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 1 + view.getInt32(at + 1);
    if (end > bytes.length) break;
    switch (bytes[at]) {
      case 0x44: // D DataRow
        if (runs.length > 0 && runs[runs.length - 1] === at) runs[runs.length - 1] = end;
        else runs.push(at, end);
        rows++;
        break;
      case 0x54:
        columns = parseColumns(bytes, view, at + 5);
        break; // T RowDescription
      case 0x74:
        parameterOids = parseParameterOids(view, at + 5);
        break; // t ParameterDescription
      case 0x43:
        tag = decoder.decode(bytes.subarray(at + 5, end - 1));
        break; // C CommandComplete
      case 0x45:
        error ??= parseError(bytes, at + 5, end);
        break; // E ErrorResponse
      case 0x4e:
        notices.push(parseError(bytes, at + 5, end));
        break; // N NoticeResponse
      case 0x5a:
        ready++;
        break; // Z ReadyForQuery
      default:
        break; // parameter status and completions say nothing here
    }
    at = end;
  }
  return { parameterOids, columns, runs, rows, tag, error, notices, ready };
}

/** The DataRow messages in a buffer of their own, which may then be transferred. */
export function copyRows(bytes: Uint8Array, answer: Answer): Uint8Array<ArrayBuffer> {
  const { runs } = answer;
  let length = 0;
  for (let i = 0; i < runs.length; i += 2) length += runs[i + 1]! - runs[i]!;
  const out = new Uint8Array(length);
  let to = 0;
  for (let i = 0; i < runs.length; i += 2) {
    out.set(bytes.subarray(runs[i], runs[i + 1]), to);
    to += runs[i + 1]! - runs[i]!;
  }
  return out;
}

function parseParameterOids(view: DataView, at: number): readonly number[] {
  return Array.from({ length: view.getUint16(at) }, (_, i) => view.getUint32(at + 2 + i * 4));
}

function parseColumns(bytes: Uint8Array, view: DataView, start: number): readonly ResultColumn[] {
  const columns: ResultColumn[] = [];
  let at = start + 2;
  for (let left = view.getUint16(start); left > 0; left--) {
    const zero = bytes.indexOf(0, at);
    columns.push({
      name: decoder.decode(bytes.subarray(at, zero)),
      tableOid: view.getUint32(zero + 1),
      attnum: view.getInt16(zero + 5),
      typeOid: view.getUint32(zero + 7),
      typlen: view.getInt16(zero + 11),
      typmod: view.getInt32(zero + 13),
    });
    at = zero + 19;
  }
  return columns;
}

/** `internalPosition` and `internalQuery` belong to functions' bodies inside PGlite and are left out. */
function parseError(bytes: Uint8Array, start: number, end: number): SqlError {
  const texts = new Map<string, string>();
  for (let at = start; at < end && bytes[at] !== 0;) {
    const zero = bytes.indexOf(0, at + 1);
    texts.set(String.fromCharCode(bytes[at]!), decoder.decode(bytes.subarray(at + 1, zero)));
    at = zero + 1;
  }
  const position = texts.get('P');
  const fields: { -readonly [K in keyof SqlErrorFields]: SqlErrorFields[K] } =
    position === undefined ? {} : { position: Number(position) };
  for (const [code, field] of TEXT_FIELDS) {
    const text = texts.get(code);
    if (text !== undefined) fields[field] = text;
  }
  // PostgreSQL's own codes, of which the table of SqlState holds those that Arka raises.
  return new SqlError((texts.get('C') ?? 'XX000') as SqlState, texts.get('M') ?? 'error without a message', fields);
}

const TEXT_FIELDS = [
  ['D', 'detail'],
  ['H', 'hint'],
  ['W', 'where'],
  ['s', 'schema'],
  ['t', 'table'],
  ['c', 'column'],
  ['d', 'dataType'],
  ['n', 'constraint'],
] as const;
