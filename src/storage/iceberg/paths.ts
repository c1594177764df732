/**
 * Where things of a table lie. Pure: main names data files with it before they exist.
 *
 * A location is `file://` and the path, or `s3://` and bucket and key, as they are: no percent decoding, as in Hadoop's,
 * PyIceberg's and DuckDB's readers.
 */
import { notSupported } from '../../errors.ts';
import type { PartitionField } from '../../table-def.ts';
import type { PartitionValue } from './lake-api.ts';
import { monthOfDay } from './transforms.ts';

/** A value longer than this is cut in a folder's name: the name is for people, the manifest has the value. */
const PATH_VALUE_BYTES_MAX = 120;

export function warehouseLocation(warehouse: string): string {
  const trimmed = warehouse.replace(/\/+$/, '');
  if (trimmed.startsWith('file://')) return trimmed;
  if (trimmed.startsWith('file:/')) return `file://${trimmed.slice(5)}`;
  if (trimmed.startsWith('/')) return `file://${trimmed}`;
  if (/^s3:\/\/[^/]/.test(trimmed)) return trimmed;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(trimmed)?.[1];
  throw notSupported(scheme === undefined ? `a relative warehouse path "${warehouse}"` : `a warehouse on ${scheme}:`);
}

export function tableLocation(warehouse: string, schema: string, name: string, uuid: string): string {
  return `${warehouseLocation(warehouse)}/${encodePart(schema)}/${encodePart(name)}-${uuid.slice(0, 8)}`;
}

/** `partitionPath` as `partitionPath()` gives it, '' for an unpartitioned table. */
export function dataFileLocation(location: string, partitionPath: string, name: string): string {
  return partitionPath === '' ? `${location}/data/${name}` : `${location}/data/${partitionPath}/${name}`;
}

/**
 * Of a new file with rows of one that is at `beside`: in the same folder, which is its partition's, whatever spec that is of (M-17);
 * for a file outside of the table among those without a partition.
 */
export function locationBeside(location: string, beside: string, name: string): string {
  const folder = beside.slice(0, beside.lastIndexOf('/') + 1);
  return folder.startsWith(`${location}/`) ? folder + name : dataFileLocation(location, '', name);
}

/** True for what no file system of this machine has. */
export function isRemote(location: string): boolean {
  return /^s3[an]?:\/\//.test(location);
}

export function toLocalPath(location: string): string {
  if (location.startsWith('file://')) return location.slice(location.indexOf('/', 7));
  if (location.startsWith('file:/')) return location.slice(5);
  if (location.startsWith('/')) return location;
  throw notSupported(`the location ${location}`);
}

/** `ts_day=2024-01-01/id_bucket=3`; `sourceTypes` are the Iceberg types of the source columns. */
export function partitionPath(
  fields: readonly PartitionField[],
  sourceTypes: readonly string[],
  values: readonly PartitionValue[],
): string {
  return fields
    .map((field, i) => `${encodePart(field.name)}=${encodePart(humanValue(field, sourceTypes[i]!, values[i] ?? null))}`)
    .join('/');
}

function humanValue(field: PartitionField, type: string, value: PartitionValue): string {
  if (value === null) return 'null';
  switch (field.transform) {
    case 'day':
      return dayText(Number(value));
    case 'month':
      return monthText(Number(value));
    case 'year':
      return yearText(Number(value) + 1970);
    case 'hour':
      return `${dayText(Math.floor(Number(value) / 24))}-${pad(((Number(value) % 24) + 24) % 24)}`;
    case 'bucket':
      return String(value);
    default:
      return identityText(type, value);
  }
}

function identityText(type: string, value: NonNullable<PartitionValue>): string {
  if (type === 'date') return dayText(Number(value));
  if (type === 'time') return timeText(BigInt(value as bigint));
  if (type === 'timestamp' || type === 'timestamptz') {
    const micros = BigInt(value as bigint);
    const inDay = ((micros % 86_400_000_000n) + 86_400_000_000n) % 86_400_000_000n;
    const zone = type === 'timestamptz' ? '+00:00' : '';
    return `${dayText(Number((micros - inDay) / 86_400_000_000n))}T${timeText(inDay)}${zone}`;
  }
  if (type.startsWith('decimal') && typeof value === 'bigint')
    return decimalText(value, Number(/,\s*(\d+)/.exec(type)?.[1] ?? 0));
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (type !== 'uuid') return bytes.toString('base64');
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
  return String(value);
}

function decimalText(unscaled: bigint, scale: number): string {
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function timeText(micros: bigint): string {
  const seconds = Number(micros / 1_000_000n);
  const fraction = Number(micros % 1_000_000n);
  const clock = `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return fraction === 0
    ? clock
    : `${clock}.${String(fraction)
        .padStart(6, '0')
        .replace(/(000)$/, '')}`;
}

function dayText(day: number): string {
  const month = monthOfDay(day);
  return `${monthText(month)}-${pad(day - firstDayOfMonth(month) + 1)}`;
}

/** The first day of a month counted from 1970-01: the only day d of its neighbourhood with another month before it. */
function firstDayOfMonth(month: number): number {
  let day = Math.floor(month * 30.436_875);
  while (monthOfDay(day) < month) day++;
  while (monthOfDay(day - 1) >= month) day--;
  return day;
}

function monthText(month: number): string {
  const year = Math.floor(month / 12);
  return `${yearText(year + 1970)}-${pad(month - year * 12 + 1)}`;
}

function yearText(year: number): string {
  return year < 0 ? `-${String(-year).padStart(4, '0')}` : String(year).padStart(4, '0');
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}

/** application/x-www-form-urlencoded, as the reference implementation writes partition values. */
function encodePart(text: string): string {
  const encode = (part: string): string =>
    encodeURIComponent(part)
      .replace(/[!'()~*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%20', '+');
  const whole = encode(text.toWellFormed());
  if (whole === '.' || whole === '..') return whole.replaceAll('.', '%2E');
  if (whole.length <= PATH_VALUE_BYTES_MAX) return whole;
  let cut = '';
  for (const char of text.toWellFormed()) {
    const next = cut + encode(char);
    if (next.length > PATH_VALUE_BYTES_MAX) break;
    cut = next;
  }
  return cut;
}
