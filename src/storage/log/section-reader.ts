/** The payload of a frame read back as sections (src/ingest/frame.ts writes it and says what its bytes are). */
import { invariant } from '../../errors.ts';
import { columnVector, FIXED_WIDTH, type ColumnVector, type Physical } from '../../types/column-vector.ts';
import { kindOf, PHYSICALS, type SectionKind } from './frame-section.ts';

export interface Section {
  readonly tableUuid: string;
  readonly schemaId: number;
  readonly kind: SectionKind;
  readonly rows: number;
  readonly fieldIds: readonly number[];
  /** One a field id, `rows` long. */
  readonly vectors: readonly ColumnVector[];
}

const padded = (bytes: number): number => (bytes + 7) & ~7;

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    invariant(bytes.byteOffset % 8 === 0, 'a payload lies at a multiple of 8');
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(): number {
    const value = this.#view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  bytes(count: number): Uint8Array {
    const out = this.#bytes.subarray(this.at, this.at + count);
    this.at += padded(count);
    return out;
  }
}

function readVector(
  reader: Reader,
  physical: Physical,
  hasValidity: boolean,
  heapBytes: number,
  rows: number,
): ColumnVector {
  const validity = hasValidity ? reader.bytes((rows + 7) >> 3) : null;
  if (physical === 'bool') return columnVector(physical, { validity, bits: reader.bytes((rows + 7) >> 3) });
  if (physical === 'bytes') {
    const raw = reader.bytes((rows + 1) * 4);
    const offsets = new Int32Array(raw.buffer, raw.byteOffset, rows + 1);
    return columnVector(physical, {
      validity,
      starts: offsets,
      ends: offsets.subarray(1),
      heap: reader.bytes(heapBytes),
    });
  }
  const raw = reader.bytes(FIXED_WIDTH[physical] * rows);
  if (physical === 'float32')
    return columnVector(physical, { validity, float32: new Float32Array(raw.buffer, raw.byteOffset, rows) });
  if (physical === 'float64')
    return columnVector(physical, { validity, float64: new Float64Array(raw.buffer, raw.byteOffset, rows) });
  return columnVector(physical, { validity, words: new Int32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4) });
}

/** The sections of a payload; vectors view its bytes. */
export function decodeFrame(payload: Uint8Array): Section[] {
  const reader = new Reader(payload);
  const count = reader.u32();
  reader.u32();
  const sections: Section[] = [];
  for (let i = 0; i < count; i++) {
    const hex = Buffer.from(reader.bytes(16)).toString('hex');
    const tableUuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    const schemaId = reader.u32();
    const kind = kindOf(reader.u32());
    invariant(kind !== null, 'a frame names a known kind of section');
    const rows = reader.u32();
    const columns = reader.u32();
    const fieldIds: number[] = [];
    const vectors: ColumnVector[] = [];
    for (let c = 0; c < columns; c++) {
      fieldIds.push(reader.u32());
      const physical = PHYSICALS[reader.u32()];
      invariant(physical !== undefined, 'a frame names a known physical type');
      const hasValidity = reader.u32() === 1;
      vectors.push(readVector(reader, physical, hasValidity, reader.u32(), rows));
    }
    sections.push({ tableUuid, schemaId, kind, rows, fieldIds, vectors });
  }
  return sections;
}
