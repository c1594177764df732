/** Changes as DuckDB vectors: the columns of the change, the table's from the log's sections, keys as JSON. */
import type duckdb from '@duckdb/node-bindings';
import type { Section } from '../storage/log/section-reader.ts';
import type { Lsn, TableDef } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { isValid, NO_BYTES, NO_WORDS, type ColumnVector, type Physical } from '../types/column-vector.ts';
import { emitEscaped } from '../types/json-string.ts';
import { normaliseJsonb } from '../types/jsonb.ts';
import { Oid } from '../types/pg-type.ts';
import { widened } from '../types/widen-vector.ts';
import { textOutput } from '../types/text-output.ts';
import { UTC } from '../types/time-zone.ts';
import { CHUNK_ROWS } from './row-source.ts';
import { logicalType, vectorBuilder, type Piece, type StringMode } from './vector-builder.ts';

export type Change = 'insert' | 'update' | 'delete' | 'truncate';

const CHANGES: readonly Change[] = ['insert', 'update', 'delete', 'truncate'];

/** Rows [from, from + count) of a section, with consecutive LSNs from `lsn` on. */
export interface ChangeRun {
  readonly section: Section;
  readonly from: number;
  readonly count: number;
  readonly change: Change;
  readonly lsn: Lsn;
  readonly commitLsn: Lsn;
  /** Microseconds since 1970; 0: not known. */
  readonly time: number;
}

/** A chunk under construction. */
export interface ChangesChunk {
  reset(): void;
  /** Adds rows of a run from its row `done` on, at most `count`, as rows `at` and following; how many had room. */
  append(run: ChangeRun, done: number, count: number, at: number): number;
  flush(vector: (index: number) => duckdb.Vector, rows: number): void;
}

interface ChangesBuilder {
  readonly columns: readonly duckdb.LogicalType[];
  open(projection: readonly number[], mode: StringMode): ChangesChunk;
}

/** A chunk's strings, as far as one row does not exceed it alone. */
const CHUNK_HEAP_BYTES = 8 * 1024 * 1024;

const BIGINT = { oid: Oid.int8, typmod: -1 };

/** @param key field ids of what names a row */
export function changesBuilder(def: TableDef, key: readonly number[]): ChangesBuilder {
  const types = def.columns.map(({ type }) => (type.oid === Oid.pgLsn ? BIGINT : type));
  return {
    columns: types.map(logicalType),
    open(projection, mode) {
      const builders = projection.map((index) => (index < 0 ? null : vectorBuilder(types[index]!, mode)));
      const fields = projection.map((index) => (index < 0 ? 0 : def.columns[index]!.fieldId));
      const sources = fields.map((fieldId) => (fieldId < 0 ? ownColumn(fieldId, def, key) : tableColumn(fieldId)));
      let heapBytes = 0;
      return {
        reset() {
          heapBytes = 0;
          for (const builder of builders) builder?.reset();
        },
        append(run, done, wanted, at) {
          let count = wanted;
          const from = run.from + done;
          const bytes = (): number => stringBytes(run.section, fields, from, count);
          while (count > 1 && heapBytes + bytes() > CHUNK_HEAP_BYTES) count >>= 1;
          if (at > 0 && heapBytes + bytes() > CHUNK_HEAP_BYTES) return 0;
          heapBytes += bytes();
          builders.forEach((builder, i) => {
            if (builder === null) return;
            const piece = sources[i]!(run, done, count, builder.physical);
            if (piece === null) builder.nulls(count, at);
            else builder.append(piece, piece.own ? 0 : from, count, at);
          });
          return count;
        },
        flush(vector, rows) {
          builders.forEach((builder, i) => builder?.flush(vector(i), rows));
        },
      };
    },
  };
}

function stringBytes(section: Section, fields: readonly number[], from: number, count: number): number {
  let bytes = 0;
  for (const fieldId of fields) {
    const vector = section.vectors[section.fieldIds.indexOf(fieldId)];
    if (vector?.physical === 'bytes') bytes += vector.ends[from + count - 1]! - vector.starts[from]!;
  }
  return bytes;
}

/** `own`: rows count from 0, not as in the section. Null: all NULL. */
type Source = (
  run: ChangeRun,
  done: number,
  count: number,
  physical: Physical,
) => (Piece & { readonly own: boolean }) | null;

function tableColumn(fieldId: number): Source {
  return ({ section }, _done, _count, physical) => {
    const index = section.fieldIds.indexOf(fieldId);
    if (index < 0) return null;
    const vector = widened(section.vectors[index]!, physical, section.rows);
    const floats = vector.physical === 'float32' ? vector.float32 : vector.float64;
    const words =
      vector.physical === 'float32' || vector.physical === 'float64'
        ? new Int32Array(floats.buffer, floats.byteOffset, floats.byteLength / 4)
        : vector.words;
    const { validity, bits, heap, starts, ends } = vector;
    return { validity, bits, words, heap, starts, ends, own: false };
  };
}

const EMPTY = { validity: null, bits: NO_BYTES, words: NO_WORDS, heap: NO_BYTES, starts: NO_WORDS, ends: NO_WORDS };

function ownColumn(fieldId: number, def: TableDef, key: readonly number[]): Source {
  switch (fieldId) {
    case -1: {
      const pieces = new Map(CHANGES.map((change) => [change, constantText(change)]));
      return ({ change }) => pieces.get(change)!;
    }
    case -2:
      return bigints((run, row) => run.lsn + row);
    case -3:
      return bigints((run) => run.commitLsn);
    case -4: {
      const times = bigints((run) => run.time);
      return (run, done, count, physical) => (run.time === 0 ? null : times(run, done, count, physical));
    }
    default: {
      const keys = keyTexts(def, key);
      return (run, done, count, physical) =>
        run.change === 'insert' || run.change === 'truncate' ? null : keys(run, done, count, physical);
    }
  }
}

function constantText(text: string): Piece & { readonly own: true } {
  const heap = Buffer.from(text);
  const starts = new Int32Array(CHUNK_ROWS);
  return { ...EMPTY, heap, starts, ends: new Int32Array(CHUNK_ROWS).fill(heap.length), own: true };
}

function bigints(valueOf: (run: ChangeRun, row: number) => number): Source {
  const words = new Int32Array(CHUNK_ROWS * 2);
  return (run, done, count) => {
    for (let i = 0; i < count; i++) {
      const value = valueOf(run, done + i);
      words[i * 2] = value | 0;
      words[i * 2 + 1] = Math.floor(value / 4_294_967_296);
    }
    return { ...EMPTY, words, own: true };
  };
}

/** What names a row as jsonb: an object of its columns, values as to_jsonb writes them, times in UTC. */
function keyTexts(def: TableDef, key: readonly number[]): Source {
  const columns = key.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!);
  const names = columns.map(({ name }) => {
    const out = new ByteWriter(64);
    const bytes = Buffer.from(name);
    emitEscaped(bytes, 0, bytes.length, out);
    return out.take();
  });
  const values = columns.map(({ type }) => jsonValue(type.oid, textOutput(type, { timeZone: UTC })));
  const starts = new Int32Array(CHUNK_ROWS);
  const ends = new Int32Array(CHUNK_ROWS);
  const out = new ByteWriter(4096);
  const raw = new ByteWriter(256);
  return ({ section, from }, done, count) => {
    const vectors = key.map((fieldId) => section.vectors[section.fieldIds.indexOf(fieldId)]);
    out.length = 0;
    for (let i = 0; i < count; i++) {
      raw.length = 0;
      vectors.forEach((vector, k) => {
        raw.u8(k === 0 ? 123 : 44);
        raw.raw(names[k]!);
        raw.u8(58);
        if (vector === undefined || !isValid(vector, from + done + i)) raw.ascii('null');
        else values[k]!(vector, from + done + i, raw);
      });
      raw.u8(125);
      starts[i] = out.length;
      normaliseJsonb(raw.bytes, 0, raw.length, out);
      ends[i] = out.length;
    }
    return { ...EMPTY, heap: out.bytes, starts, ends, own: true };
  };
}

type Write = (vector: ColumnVector, row: number, out: ByteWriter) => void;

function jsonValue(oid: number, text: Write): Write {
  const scratch = new ByteWriter(64);
  const quoted: Write = (vector, row, out) => {
    scratch.length = 0;
    text(vector, row, scratch);
    if (oid === Oid.timestamp || oid === Oid.timestamptz) asIso(scratch, oid === Oid.timestamptz);
    emitEscaped(scratch.bytes, 0, scratch.length, out);
  };
  switch (oid) {
    case Oid.bool:
      return (vector, row, out) => out.ascii((vector.bits[row >> 3]! & (1 << (row & 7))) === 0 ? 'false' : 'true');
    case Oid.int2:
    case Oid.int4:
    case Oid.int8:
    case Oid.numeric:
    case Oid.json:
    case Oid.jsonb:
      return text;
    case Oid.float4:
      return (vector, row, out) => (Number.isFinite(vector.float32[row]!) ? text : quoted)(vector, row, out);
    case Oid.float8:
      return (vector, row, out) => (Number.isFinite(vector.float64[row]!) ? text : quoted)(vector, row, out);
    default:
      return quoted;
  }
}

/** `2026-01-01 10:00:00+00` → `2026-01-01T10:00:00+00:00`, as JSON has it; a mark of the era stays last. */
function asIso(out: ByteWriter, zone: boolean): void {
  const text = Buffer.from(out.bytes.subarray(0, out.length)).toString('latin1').replace(' ', 'T');
  out.length = 0;
  out.ascii(zone ? text.replace('+00', '+00:00') : text);
}
