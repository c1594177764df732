/**
 * time with time zone: text and binary input to the text that PostgreSQL prints, `04:05:06.789+02`, which is what columns hold.
 * Values are ordered by their instant in UTC; of equal ones that with the zone further west is greater.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { int32At } from './binary-input.ts';
import type { ByteWriter } from './byte-writer.ts';
import { DAY_MICROS, typmodUnit } from './civil-date.ts';
import type { TimeContext } from './datetime-input.ts';
import { decodeDateTime } from './datetime-words.ts';
import type { TextInput } from './number-input.ts';
import { secondFraction } from './second-fraction.ts';
import { decodeText, encodeText } from './utf8.ts';

/** Micros of the day and seconds east of Greenwich. */
interface ZonedTime {
  readonly micros: number;
  readonly east: number;
}

const two = (value: number): string => String(value).padStart(2, '0');

function shown({ micros, east }: ZonedTime): string {
  const seconds = Math.floor(micros / 1e6);
  const fraction = secondFraction(micros);
  const size = Math.abs(east);
  const [minutes, rest] = [Math.floor(size / 60) % 60, size % 60];
  const zone = `${two(Math.floor(size / 3600))}${minutes > 0 || rest > 0 ? `:${two(minutes)}` : ''}${rest > 0 ? `:${two(rest)}` : ''}`;
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}${east < 0 ? '-' : '+'}${zone}`;
}

/** Of the text that `shown` makes. */
export function parseTimetz(text: string): ZonedTime {
  const [, hours, minutes, seconds, fraction = '', sign, zoneHours, zoneMinutes = '0', zoneSeconds = '0'] =
    /^(\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/.exec(text)!;
  const size = Number(zoneHours) * 3600 + Number(zoneMinutes) * 60 + Number(zoneSeconds);
  return {
    micros: (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1e6 + Number(fraction.padEnd(6, '0')),
    east: sign === '-' ? -size : size,
  };
}

function put(value: ZonedTime, unit: number, sink: Parameters<TextInput>[3]): void {
  const micros = unit === 1 ? value.micros : Math.round(value.micros / unit) * unit;
  const bytes = encodeText(shown({ micros, east: value.east }));
  sink.bytes(bytes, 0, bytes.length);
}

/** A time without a zone is in the session's, as it is now; with a date and a zone by name, as it was then. */
export function timetzInput(type: PgType, context: TimeContext): TextInput {
  const unit = typmodUnit(type.typmod);
  return (src, start, end, sink) => {
    const text = decodeText(src, start, end);
    const { days, micros, offset, zone } = decodeDateTime(text, 'time with time zone', context);
    let east = offset;
    if (east === null) {
      const at = zone ?? context.timeZone;
      east = at.fixedSeconds ?? at.offsetSeconds(days === 0 ? Math.floor(context.now() / 1e6) : days * 86_400);
    }
    put({ micros, east }, unit, sink);
  };
}

/** Micros of the day, then seconds west of Greenwich. */
export function timetzBinaryInput(type: PgType): TextInput {
  const unit = typmodUnit(type.typmod);
  return (src, start, end, sink) => {
    if (end - start !== 12) throw new SqlError(SqlState.invalidBinaryRepresentation, 'incorrect binary data format');
    const micros = int32At(src, start) * 0x1_0000_0000 + (int32At(src, start + 4) >>> 0);
    const west = int32At(src, start + 8);
    if (micros < 0 || micros > DAY_MICROS) throw new SqlError(SqlState.datetimeFieldOverflow, 'time out of range');
    if (Math.abs(west) > 57_599)
      throw new SqlError(SqlState.invalidTimeZoneDisplacement, 'time zone displacement out of range');
    put({ micros, east: 0 - west }, unit, sink);
  };
}

/** Big-endian, the highest bit turned: bytes that sort. */
export function putTimetzKey(text: string, out: ByteWriter): void {
  const { micros, east } = parseTimetz(text);
  const utc = micros - east * 1e6 + 4 * DAY_MICROS;
  out.i32(Math.floor(utc / 0x1_0000_0000));
  out.i32(utc | 0);
  out.i32((0 - east) ^ 0x8000_0000);
}
