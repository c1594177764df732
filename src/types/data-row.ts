/**
 * Rows of vectors to DataRow messages: 'D', int32 length (itself included), int16 columns, then per column int32
 * length and the value, -1 for NULL.
 *
 * numeric: `type.typmod` must carry the precision and scale of the vector, also where RowDescription says -1; without it
 * the scale is taken for 10. An OID that no column can have needs a vector of bytes, its text already made.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { invariant } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { binaryOutput } from './binary-output.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { ColumnVector } from './column-vector.ts';
import type { Format } from './result-column.ts';
import { textOutput, type OutputSettings } from './text-output.ts';

export interface RowColumn {
  readonly type: PgType;
  readonly format: Format;
  /** Whose text it is, where the vector holds text. */
  readonly shown?: PgType;
}

/** Writes one whole DataRow of a row; of one that throws, nothing: half a message would end the session. */
export type RowEncoder = (vectors: readonly ColumnVector[], row: number, out: ByteWriter) => void;

/** @throws {SqlError} 0A000 for a binary format that does not exist */
export function rowEncoder(columns: readonly RowColumn[], settings: OutputSettings): RowEncoder {
  const outputs = columns.map(({ type, format, shown }) =>
    format === 1 ? binaryOutput(type, settings) : textOutput(type, settings, shown),
  );
  const count = outputs.length;
  return (vectors, row, out) => {
    invariant(vectors.length === count, 'as many vectors as columns');
    const start = out.length;
    out.u8(68);
    out.i32(0);
    out.i16(count);
    try {
      for (let i = 0; i < count; i++) {
        const vector = vectors[i]!;
        const validity = vector.validity;
        if (validity !== null && (validity[row >> 3]! & (1 << (row & 7))) === 0) {
          out.i32(-1);
          continue;
        }
        const at = out.length;
        out.i32(0);
        outputs[i]!(vector, row, out);
        out.setI32(at, out.length - at - 4);
      }
    } catch (error) {
      out.length = start;
      throw error;
    }
    out.setI32(start + 1, out.length - start - 1);
  };
}

/** The DataRows of rows [rowStart, rowEnd). */
export function encodeRows(
  encoder: RowEncoder,
  vectors: readonly ColumnVector[],
  rowStart: number,
  rowEnd: number,
  out: ByteWriter,
): void {
  for (let row = rowStart; row < rowEnd; row++) encoder(vectors, row, out);
}
