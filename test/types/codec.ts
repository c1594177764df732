/** Values through the codecs, for tests: one value in a column of its own. */
import { SqlError } from '../../src/errors.ts';
import type { PgType } from '../../src/table-def.ts';
import { binaryInput } from '../../src/types/binary-input.ts';
import { binaryOutput } from '../../src/types/binary-output.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import type { ColumnVector } from '../../src/types/column-vector.ts';
import { numericTypmod, Oid, physicalOf } from '../../src/types/pg-type.ts';
import { textInput } from '../../src/types/text-input.ts';
import { textOutput } from '../../src/types/text-output.ts';
import { UTC, type TimeZone } from '../../src/types/time-zone.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';

/** `numeric(5,2)`, `varchar(3)`, `timestamp(3)` or a name of pg_type. */
export function typeNamed(name: string): PgType {
  const [, base = '', first, second] = /^(\w+)(?:\((\d+)(?:,(\d+))?\))?$/.exec(name)!;
  const oid = Oid[base as keyof typeof Oid];
  if (first === undefined) return { oid, typmod: -1 };
  if (oid === Oid.numeric) return { oid, typmod: numericTypmod(Number(first), Number(second)) };
  return { oid, typmod: oid === Oid.varchar || oid === Oid.bpchar ? Number(first) + 4 : Number(first) };
}

/** 2020-05-06 07:08:09.101112 UTC. */
export const NOW_MICROS = 1_588_748_889_101_112;

export function parse(type: PgType, text: string | Uint8Array, timeZone: TimeZone = UTC): ColumnVector {
  const builder = new VectorBuilder(physicalOf(type));
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  textInput(type, { timeZone, now: () => NOW_MICROS })(bytes, 0, bytes.length, builder);
  return builder.vector();
}

export function print(type: PgType, vector: ColumnVector, timeZone: TimeZone = UTC): string {
  const out = new ByteWriter(16);
  textOutput(type, { timeZone })(vector, 0, out);
  return Buffer.from(out.take()).toString();
}

/** The text that comes back, or the SQLSTATE. */
export function answer(type: PgType, text: string | Uint8Array, timeZone: TimeZone = UTC): string {
  try {
    return print(type, parse(type, text, timeZone), timeZone);
  } catch (error) {
    if (error instanceof SqlError) return error.code;
    throw error;
  }
}

export function errorOf(run: () => unknown): SqlError {
  try {
    run();
  } catch (error) {
    if (error instanceof SqlError) return error;
    throw error;
  }
  throw new Error('no error');
}

export function toBinary(type: PgType, vector: ColumnVector): Uint8Array {
  const out = new ByteWriter(16);
  binaryOutput(type, { timeZone: UTC })(vector, 0, out);
  return out.take();
}

export function fromBinary(type: PgType, bytes: Uint8Array): ColumnVector {
  const builder = new VectorBuilder(physicalOf(type));
  binaryInput(type)(bytes, 0, bytes.length, builder);
  return builder.vector();
}
