/** DataRow messages in other formats than they have: FETCH takes rows in the formats of its own message, whatever the cursor's are. */
import { notSupported } from '../errors.ts';
import { binaryOutput } from '../types/binary-output.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { formatType } from '../types/format-type.ts';
import { parameterText } from '../types/parameter-text.ts';
import { columnTypeInfo, Oid, physicalOf } from '../types/pg-type.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { textInput } from '../types/text-input.ts';
import { restyled } from '../types/styled-text.ts';
import { timeZone as zoneOf, UTC, type TimeZone } from '../types/time-zone.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { fieldsOf } from './column-calls.ts';

type Convert = (value: Uint8Array) => Uint8Array;
const SAME: Convert = (value) => value;

/**
 * Null: they are the same.
 * @param timeZone the session's, with its styles
 * {SqlError} 0A000 for a type whose binary format is not known here
 */
export function formatChange(
  columns: readonly ResultColumn[],
  from: readonly Format[],
  to: readonly Format[],
  timeZone: string,
): ((messages: Uint8Array) => Uint8Array) | null {
  const at = (formats: readonly Format[], i: number): Format =>
    formats.length === 1 ? formats[0]! : (formats[i] ?? 0);
  const changes = columns.map((column, i) => changeOf(column, at(from, i), at(to, i), zoneOf(timeZone)));
  if (changes.every((change) => change === SAME)) return null;
  return (messages) => {
    const out = new ByteWriter(messages.length);
    const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
    for (let row = 0; row < messages.length; row += 1 + view.getInt32(row + 1)) {
      const start = out.length;
      out.u8(68);
      out.i32(0);
      out.i16(columns.length);
      for (const [i, field] of fieldsOf(messages, view, row).entries()) {
        const value = field === null ? null : changes[i]!(field);
        out.i32(value === null ? -1 : value.length);
        if (value !== null) out.raw(value);
      }
      out.setI32(start + 1, out.length - start - 1);
    }
    return out.take();
  };
}

/** Types whose values are their text. */
const TEXTS: ReadonlySet<number> = new Set([Oid.text, Oid.varchar, Oid.bpchar, Oid.name, Oid.json, Oid.unknown]);

function changeOf({ typeOid: oid, typmod }: ResultColumn, from: Format, to: Format, zone: TimeZone): Convert {
  if (from === to || TEXTS.has(oid)) return SAME;
  const type = { oid, typmod };
  const restyle = from === 0 || zone.styles === undefined ? null : restyled(type, zone.styles, zone);
  if (restyle !== null) return (value) => Buffer.from(restyle(parameterText(oid, 1, value)!));
  if (from === 1) return (value) => Buffer.from(parameterText(oid, 1, value)!);
  const info = columnTypeInfo(oid);
  if (info === undefined)
    throw notSupported(`the binary format of type ${formatType(type)} from this cursor`, {
      hint: 'Declare it as a BINARY cursor, or fetch in the text format.',
    });
  const read = textInput(type, { timeZone: zone, now: () => 0 });
  const write = binaryOutput(type, { timeZone: UTC });
  return (value) => {
    const builder = new VectorBuilder(physicalOf(type));
    read(value, 0, value.length, builder);
    const out = new ByteWriter(32);
    write(builder.vector(), 0, out);
    return out.take();
  };
}

/** DataRow messages with their first `count` fields alone. */
export function firstFields(messages: Uint8Array, rows: number, count: number): Uint8Array {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  const out = new Uint8Array(messages.length);
  const outView = new DataView(out.buffer);
  let length = 0;
  for (let row = 0, at = 0; row < rows; row++) {
    let end = at + 7;
    for (let i = 0; i < count; i++) end += 4 + Math.max(0, view.getInt32(end));
    out.set(messages.subarray(at, end), length);
    outView.setInt32(length + 1, end - at - 1);
    outView.setInt16(length + 5, count);
    length += end - at;
    at += 1 + view.getInt32(at + 1);
  }
  return out.subarray(0, length);
}
