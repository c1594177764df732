/**
 * Values in PostgreSQL's text form → DuckDB literals of the same value. Only forms that both read alike pass; others
 * say so instead of meaning something else.
 */
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { parseArray } from '../../types/array-value.ts';
import { parseInterval } from '../../types/interval-input.ts';
import { canonicalNumeric } from '../../types/numeric-text.ts';
import { putText } from '../../types/parse-text-value.ts';
import { textInput, type TextInput } from '../../types/text-input.ts';
import { decodeText, encodeText } from '../../types/utf8.ts';
import { VectorBuilder } from '../../types/vector-builder.ts';
import { canonical } from '../../types/jsonb-operations.ts';
import { columnTypeInfo, Oid, elementType, physicalOf } from '../../types/pg-type.ts';
import type { ParameterValue } from '../plan.ts';
import { lsnLiteral } from './lsn.ts';
import { writesStyled } from './styled-session.ts';

const NAMES: Readonly<Record<number, string>> = {
  [Oid.bool]: 'BOOLEAN',
  [Oid.int2]: 'SMALLINT',
  [Oid.int4]: 'INTEGER',
  [Oid.int8]: 'BIGINT',
  [Oid.float4]: 'FLOAT',
  [Oid.float8]: 'DOUBLE',
  [Oid.text]: 'VARCHAR',
  [Oid.varchar]: 'VARCHAR',
  [Oid.bpchar]: 'VARCHAR',
  [Oid.name]: 'VARCHAR',
  [Oid.char]: 'VARCHAR',
  [Oid.bytea]: 'BLOB',
  [Oid.date]: 'DATE',
  [Oid.time]: 'TIME',
  [Oid.timestamp]: 'TIMESTAMP',
  [Oid.timestamptz]: 'TIMESTAMP WITH TIME ZONE',
  [Oid.uuid]: 'UUID',
  [Oid.interval]: 'INTERVAL',
  [Oid.timetz]: 'VARCHAR',
  [Oid.json]: 'VARCHAR',
  [Oid.jsonb]: 'VARCHAR',
  [Oid.oid]: 'BIGINT',
  [Oid.pgLsn]: 'BIGINT',
};

/** DuckDB's name of a scalar type without modifiers; undefined for numeric (it depends on the value) and the unknown. */
export function duckdbName(oid: number): string | undefined {
  return NAMES[oid];
}

export function parameterLiteral(value: ParameterValue): string {
  const element = elementType(value.typeOid);
  if (element !== undefined) return value.text === null ? 'NULL' : arrayLiteral(value.text, element);
  if (value.text === null) {
    const name = NAMES[value.typeOid];
    return name === undefined ? 'NULL' : `CAST(NULL AS ${name})`;
  }
  if (value.typeOid === 0 || value.typeOid === Oid.unknown) return quote(value.text);
  return scalarLiteral(value.text, value.typeOid);
}

/** @throws {SqlError} 22P02 for text the type does not take, 0A000 for a form that DuckDB might read otherwise */
export function scalarLiteral(text: string, oid: number): string {
  const element = elementType(oid);
  if (element !== undefined) return arrayLiteral(text, element);
  switch (oid) {
    case Oid.int2:
    case Oid.int4:
    case Oid.int8:
    case Oid.oid: {
      const digits = text.trim();
      if (!/^[+-]?\d+$/.test(digits)) throw invalid(oid, text);
      if (outOfRange(digits, oid))
        throw new SqlError(
          SqlState.numericValueOutOfRange,
          `value "${text}" is out of range for type ${columnTypeInfo(oid)?.name ?? 'oid'}`,
        );
      return `CAST(${quote(digits)} AS ${NAMES[oid]})`;
    }
    case Oid.numeric:
      return numericLiteral(text);
    case Oid.bpchar:
      return quote(text.replace(/ +$/, ''));
    case Oid.name:
      return quote(cutName(text));
    case Oid.bool:
      return boolLiteral(text);
    case Oid.jsonb:
      return quote(canonical(text));
    case Oid.bytea:
      return byteaLiteral(text);
    case Oid.date:
    case Oid.timestamp:
    case Oid.timestamptz:
    case Oid.time:
      checkDateTime(text, oid);
      checkReadable(text, oid);
      return `CAST(${quote(withSeconds(text.trim()))} AS ${NAMES[oid]})`;
    case Oid.pgLsn:
      return lsnLiteral(text);
    case Oid.interval:
      return intervalLiteral(text);
    case Oid.timetz:
      return quote(parsedText(text, oid));
    case Oid.float4:
    case Oid.float8:
      if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) && !/^\s*([+-]?inf(inity)?|nan)\s*$/i.test(text))
        throw invalid(oid, text);
      return checkedFloat(text.trim(), oid);
    case Oid.uuid:
      if (!/^\s*\{?[0-9a-f]{4}-?([0-9a-f]{4}-?){6}[0-9a-f]{4}\}?\s*$/i.test(text)) throw invalid(oid, text);
      return `CAST(${quote(uuidText(text))} AS UUID)`;
    default: {
      const name = NAMES[oid];
      if (name === undefined) throw notSupported(`a value of type ${oid} over Arka tables`);
      return name === 'VARCHAR' ? quote(text) : `CAST(${quote(text)} AS ${name})`;
    }
  }
}

const readers = new Map<number, { readonly input: TextInput; readonly sink: VectorBuilder }>();

/** That there is such a day, and such a time. @throws {SqlError} 22008 */
function checkReadable(text: string, oid: number): void {
  const type = { oid, typmod: -1 };
  const reader = readers.get(oid) ?? { input: textInput(type), sink: new VectorBuilder(physicalOf(type)) };
  readers.set(oid, reader);
  try {
    putText(reader.input, text, reader.sink);
  } finally {
    reader.sink.reset();
  }
}

/** As a column would have it. */
function parsedText(text: string, oid: number): string {
  const type = { oid, typmod: -1 };
  const builder = new VectorBuilder('bytes');
  const bytes = encodeText(text);
  textInput(type)(bytes, 0, bytes.length, builder);
  const { heap, starts, ends } = builder.vector();
  return decodeText(heap, starts[0]!, ends[0]!);
}

const INTEGER_BITS: Readonly<Record<number, bigint>> = { [Oid.int2]: 15n, [Oid.int4]: 31n, [Oid.int8]: 63n };

function outOfRange(digits: string, oid: number): boolean {
  const bits = INTEGER_BITS[oid];
  if (bits === undefined || digits.length < 5) return false;
  const value = BigInt(digits.replace('+', ''));
  return value >= 1n << bits || value < -(1n << bits);
}

function quote(text: string): string {
  if (text.includes('\u0000'))
    throw new SqlError(SqlState.characterNotInRepertoire, 'invalid byte sequence for encoding "UTF8": 0x00');
  return `'${text.replaceAll("'", "''")}'`;
}

/** As the type has it: at most 63 bytes. */
function cutName(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= 63) return text;
  let end = 63;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

function uuidText(text: string): string {
  const hex = text.replaceAll(/[^0-9a-f]/gi, '').toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function checkedFloat(text: string, oid: number): string {
  const value = Number(text);
  const overflows =
    oid === Oid.float4 ? !Number.isFinite(Math.fround(value)) : value === Infinity || value === -Infinity;
  if (/\d/.test(text) && overflows) {
    throw new SqlError(
      SqlState.numericValueOutOfRange,
      `"${text}" is out of range for type ${oid === Oid.float4 ? 'real' : 'double precision'}`,
    );
  }
  return `CAST(${quote(text)} AS ${NAMES[oid]})`;
}

/** Digits are a DECIMAL of their own scale in DuckDB, exactly. */
export function numericLiteral(text: string): string {
  const plain = text.trim().replace(/^\+/, '');
  if (/^nan$|^-?inf/i.test(plain)) throw notSupported(`numeric value ${plain} over Arka tables`);
  if (!/^-?(\d+\.?\d*|\.\d+)$/.test(plain)) {
    if (/^-?(\d+\.?\d*|\.\d+)e[+-]?\d+$/i.test(plain))
      throw notSupported('an exponent in a numeric value over Arka tables');
    throw invalid(Oid.numeric, text);
  }
  const [whole = '', fraction = ''] = plain.replace('-', '').split('.');
  const digits = whole.replace(/^0+/, '').length + fraction.length;
  if (digits > 38) throw notSupported('a numeric value of more than 38 digits over Arka tables');
  const scale = fraction.length;
  return `CAST(${quote(plain)} AS DECIMAL(${Math.max(digits, scale, 1)},${scale}))`;
}

function boolLiteral(text: string): string {
  const word = text.trim().toLowerCase();
  if (word !== '' && ('true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1'))
    return 'true';
  if (
    word !== '' &&
    ('false'.startsWith(word) || 'no'.startsWith(word) || word === 'off' || word === 'of' || word === '0')
  )
    return 'false';
  throw invalid(Oid.bool, text);
}

function byteaLiteral(text: string): string {
  if (text.startsWith('\\x')) {
    const hex = text.slice(2).replaceAll(/\s/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(hex))
      throw new SqlError(SqlState.invalidTextRepresentation, 'invalid hexadecimal data: odd number of digits');
    return `from_hex('${hex}')`;
  }
  if (text.includes('\\')) throw notSupported('the escape form of bytea over Arka tables');
  return `from_hex('${Buffer.from(text).toString('hex')}')`;
}

const ISO_DATE = String.raw`\d{4,7}-\d{1,2}-\d{1,2}`;
const ISO_TIME = String.raw`\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?`;
const ISO_ZONE = String.raw`\s*(Z|UTC|[+-]\d{1,2}(:?\d{2})?)`;
const FORMS: Readonly<Record<number, RegExp>> = {
  [Oid.date]: new RegExp(`^\\s*(${ISO_DATE}|-?infinity|epoch)\\s*$`, 'i'),
  [Oid.time]: new RegExp(`^\\s*${ISO_TIME}\\s*$`, 'i'),
  [Oid.timestamp]: new RegExp(`^\\s*(${ISO_DATE}([ T]${ISO_TIME})?|-?infinity|epoch)\\s*$`, 'i'),
  [Oid.timestamptz]: new RegExp(`^\\s*(${ISO_DATE}([ T]${ISO_TIME}(${ISO_ZONE})?)?|-?infinity|epoch)\\s*$`, 'i'),
};

/** DuckDB takes a zone behind seconds only. */
function withSeconds(text: string): string {
  return text.replace(/([ T]\d{1,2}:\d{2})(?=\s*(?:Z|UTC|[+-]))/i, '$1:00');
}

/** Refuses dates that are not written as ISO 8601: PostgreSQL reads them by DateStyle, DuckDB by its own rules. */
export function checkDateTime(text: string, oid: number): void {
  if (FORMS[oid]?.test(text) === true) return;
  throw notSupported(`the ${typeName(oid)} value ${quote(text)} over Arka tables`, {
    hint: 'Write dates and times as ISO 8601, such as 2020-01-31 12:00:00.',
  });
}

/** A constant that is kept as it is written, for sessions of any DateStyle to read. @throws {SqlError} 0A000 */
export function checkKeptText(text: string, oid: number): void {
  if (!writesStyled()) return;
  if (FORMS[oid] !== undefined && oid !== Oid.time) checkDateTime(text, oid);
  if (oid === Oid.interval) checkSign(text);
}

/** IntervalStyle sql_standard has one sign mean all fields. */
function checkSign(text: string): void {
  if (writesStyled() && /^\s*-/.test(text))
    throw notSupported(`the interval ${quote(text)} with these settings over Arka tables`, {
      hint: 'RESET IntervalStyle.',
    });
}

/** Any text that PostgreSQL takes, by its parts. */
export function intervalLiteral(text: string): string {
  checkSign(text);
  const { months, days, micros } = parseInterval(text);
  return `CAST('${months} months ${days} days ${micros} microseconds' AS INTERVAL)`;
}

/** `{1,2,NULL,"a b"}` of one dimension. */
export function arrayLiteral(text: string, element: number): string {
  const items = arrayItems(text).map((item) => (item === null ? 'NULL' : scalarLiteral(item, element)));
  const name = element === Oid.numeric ? null : NAMES[element];
  if (name === undefined) throw notSupported(`an array of type ${element} over Arka tables`);
  const list = `[${items.join(', ')}]`;
  return name === null ? list : `CAST(${list} AS ${name}[])`;
}

/** Of any number of digits each. */
export function numericTexts(text: string): string {
  const items = arrayItems(text).map((item) => (item === null ? 'NULL' : quote(canonicalNumeric(item))));
  return `CAST([${items.join(', ')}] AS VARCHAR[])`;
}

export function arrayItems(text: string): readonly (string | null)[] {
  const { lengths, lowerBounds, items } = parseArray(text);
  if (lengths.length > 1) throw notSupported('an array of more than one dimension over Arka tables');
  if (lowerBounds.some((bound) => bound !== 1))
    throw notSupported('an array that begins elsewhere than at 1 over Arka tables');
  return items;
}

function typeName(oid: number): string {
  switch (oid) {
    case Oid.timestamptz:
      return 'timestamp with time zone';
    case Oid.timestamp:
      return 'timestamp';
    case Oid.int2:
      return 'smallint';
    case Oid.int4:
      return 'integer';
    case Oid.int8:
      return 'bigint';
    case Oid.float4:
      return 'real';
    case Oid.float8:
      return 'double precision';
    case Oid.numeric:
      return 'numeric';
    case Oid.bool:
      return 'boolean';
    default:
      return (NAMES[oid] ?? String(oid)).toLowerCase();
  }
}

function invalid(oid: number, text: string): SqlError {
  return new SqlError(SqlState.invalidTextRepresentation, `invalid input syntax for type ${typeName(oid)}: "${text}"`);
}
