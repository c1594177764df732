/** Binary input of one column for many rows at a time; see `block-input.ts` (B1, B2) and `binary-input.ts`. */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { binaryInput } from './binary-input.ts';
import { bytesBlock, oneByOne, type Absent, type BlockInput, type BlockSink } from './block-input.ts';
import { POSTGRES_EPOCH_DAYS, typmodUnit } from './civil-date.ts';
import type { FieldBlock } from './field-block.ts';
import { Oid } from './pg-type.ts';

const absent: Absent = (_code, row, sink) => sink.nullAt(row);

/** PostgreSQL's micros count from 2000-01-01: what is added to reach 1970, in words. */
const EPOCH_MICROS = BigInt(POSTGRES_EPOCH_DAYS) * 86_400_000_000n;
const EPOCH_LOW = Number(EPOCH_MICROS & 0xffff_ffffn);
const EPOCH_HIGH = Number(EPOCH_MICROS >> 32n);
/** High words between which nothing overflows and no date is out of bounds or infinite. */
const HIGH_MAX = 0x1000_0000;
/** About the year -4000. */
const HIGH_MIN = -0x0280_0000;

export function blockBinaryInput(type: PgType): BlockInput {
  const slow = binaryInput(type);
  switch (type.oid) {
    case Oid.bool:
      return boolBlock;
    case Oid.int4:
      return int4Block;
    case Oid.int8:
      return int8Block;
    case Oid.float8:
      return float8Block;
    case Oid.text:
      return bytesBlock(slow, absent, false);
    case Oid.varchar:
      return type.typmod < 4 ? bytesBlock(slow, absent, false) : oneByOne(slow, absent);
    case Oid.json:
      return bytesBlock(slow, absent, true);
    case Oid.timestamp:
    case Oid.timestamptz:
      return typmodUnit(type.typmod) === 1 ? timestampBlock : oneByOne(slow, absent);
    default:
      return oneByOne(slow, absent);
  }
}

/** The value is one for `binary-input.ts`, row by row. */
function secondLook(): SqlError {
  return new SqlError(SqlState.invalidBinaryRepresentation, 'incorrect binary data format');
}

// One loop a type, so that each sees one pair of arrays.

function boolBlock({ src, starts, ends }: FieldBlock, at: number, count: number, sink: BlockSink): void {
  const { bits, rows: base } = sink;
  sink.open(count, 0);
  for (let k = 0; k < count; k++) {
    const start = starts[at + k]!;
    const row = base + k;
    if (start < 0) sink.nullAt(row);
    else if (ends[at + k]! - start !== 1) throw secondLook();
    else if (src[start] !== 0) bits[row >> 3]! |= 1 << (row & 7);
    else bits[row >> 3]! &= ~(1 << (row & 7));
  }
  sink.rows = base + count;
}

function int4Block({ view, starts, ends }: FieldBlock, at: number, count: number, sink: BlockSink): void {
  const { words, rows: base } = sink;
  sink.open(count, 0);
  for (let k = 0; k < count; k++) {
    const start = starts[at + k]!;
    if (start < 0) sink.nullAt(base + k);
    else if (ends[at + k]! - start !== 4) throw secondLook();
    else words[base + k] = view.getInt32(start);
  }
  sink.rows = base + count;
}

function int8Block({ view, starts, ends }: FieldBlock, at: number, count: number, sink: BlockSink): void {
  const { words, rows: base } = sink;
  sink.open(count, 0);
  for (let k = 0; k < count; k++) {
    const start = starts[at + k]!;
    const row = base + k;
    if (start < 0) {
      sink.nullAt(row);
      continue;
    }
    if (ends[at + k]! - start !== 8) throw secondLook();
    words[row * 2] = view.getInt32(start + 4);
    words[row * 2 + 1] = view.getInt32(start);
  }
  sink.rows = base + count;
}

function float8Block({ view, starts, ends }: FieldBlock, at: number, count: number, sink: BlockSink): void {
  const { float64s, rows: base } = sink;
  sink.open(count, 0);
  for (let k = 0; k < count; k++) {
    const start = starts[at + k]!;
    if (start < 0) sink.nullAt(base + k);
    else if (ends[at + k]! - start !== 8) throw secondLook();
    else float64s[base + k] = view.getFloat64(start);
  }
  sink.rows = base + count;
}

function timestampBlock({ view, starts, ends }: FieldBlock, at: number, count: number, sink: BlockSink): void {
  const { words, rows: base } = sink;
  sink.open(count, 0);
  for (let k = 0; k < count; k++) {
    const start = starts[at + k]!;
    const row = base + k;
    if (start < 0) {
      sink.nullAt(row);
      continue;
    }
    const high = view.getInt32(start);
    if (ends[at + k]! - start !== 8 || high < HIGH_MIN || high > HIGH_MAX) throw secondLook();
    const low = (view.getInt32(start + 4) >>> 0) + EPOCH_LOW;
    words[row * 2] = low | 0;
    words[row * 2 + 1] = high + EPOCH_HIGH + (low > 0xffff_ffff ? 1 : 0);
  }
  sink.rows = base + count;
}
