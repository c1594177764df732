/**
 * DuckDB's errors have classes, not codes: `Class Error: first line`, then hints and the statement. Here they become
 * SQLSTATEs. What PostgreSQL would have refused was refused when the statement was described, so an error of the binder is
 * usually something that DuckDB lacks: 0A000. Paths never reach a client, only the name of a data file that is damaged or
 * missing; the whole text stays behind `cause`.
 */
import { InvariantViolation, SqlError, SqlState, toSqlError } from '../errors.ts';

interface Rule {
  readonly when: RegExp;
  readonly code: SqlState;
  /** Null: DuckDB's own first line. `$1` stands for the first group. */
  readonly message: string | null;
  readonly hint?: string;
}

const BY_TEXT: readonly Rule[] = [
  { when: /^INTERRUPT|Interrupted!/, code: SqlState.queryCanceled, message: 'canceling statement due to user request' },
  {
    when: /No space left on device|max_temp_directory_size|failed to offload data block/,
    code: SqlState.diskFull,
    message: 'no space left for temporary files',
    hint: 'Queries may put aside an eighth of disk.limit or half of what is free, and less when little is left (arka.disk).',
  },
  {
    when: /^Out of Memory|"exception_type":"Out of Memory"/,
    code: SqlState.outOfMemory,
    message: 'out of memory: the query needs more than the engine may use',
  },
  {
    when: /Argument for ntile must be greater than zero/,
    code: SqlState.invalidArgumentForNtile,
    message: 'argument of ntile must be greater than zero',
  },
  { when: /cannot take logarithm of/, code: SqlState.invalidArgumentForLogarithm, message: null },
  { when: /cannot take square root of/, code: SqlState.invalidArgumentForPower, message: null },
  { when: /is undefined outside \[-1,1\]/, code: SqlState.numericValueOutOfRange, message: 'input is out of range' },
  { when: /Error: division by zero/i, code: SqlState.divisionByZero, message: 'division by zero' },
  {
    when: /More than one row returned by a subquery/,
    code: SqlState.cardinalityViolation,
    message: 'more than one row returned by a subquery used as an expression',
  },
  {
    when: /Could not convert string '(.*)' to U?INT\d+/,
    code: SqlState.invalidTextRepresentation,
    message: 'invalid input syntax for type integer: "$1"',
  },
  {
    when: /Could not convert string "(.*)" to DECIMAL/,
    code: SqlState.invalidTextRepresentation,
    message: 'invalid input syntax for type numeric: "$1"',
  },
  {
    when: /Could not convert string '(.*)' to (?:DOUBLE|FLOAT)/,
    code: SqlState.invalidTextRepresentation,
    message: 'invalid input syntax for type double precision: "$1"',
  },
  {
    when: /Could not convert string '(.*)' to (?:UUID|INT128)/,
    code: SqlState.invalidTextRepresentation,
    message: 'invalid input syntax for type uuid: "$1"',
  },
  {
    when: /Could not convert string '(.*)' to BOOL/,
    code: SqlState.invalidTextRepresentation,
    message: 'invalid input syntax for type boolean: "$1"',
  },
  {
    when: /invalid (?:date|time|timestamp) field format: "(.*?)"/,
    code: SqlState.invalidDatetimeFormat,
    message: 'invalid input syntax for type date or timestamp: "$1"',
  },
  {
    when: /Cannot subtract infinite timestamps/,
    code: SqlState.datetimeFieldOverflow,
    message: 'cannot subtract infinite timestamps',
  },
  { when: /(?:date|timestamp|time) field value out of range/i, code: SqlState.datetimeFieldOverflow, message: null },
  {
    when: /Epoch seconds out of range|Overflow exception in date\/time|Date and time not in timestamp range/i,
    code: SqlState.datetimeFieldOverflow,
    message: 'timestamp out of range',
  },
  {
    when: /Date out of range|Time out of range/i,
    code: SqlState.datetimeFieldOverflow,
    message: 'date/time field value out of range',
  },
  {
    when: /Overflow in \w+ of INTERVAL|Interval value .* out of range/i,
    code: SqlState.datetimeFieldOverflow,
    message: 'interval out of range',
  },
  {
    when: /Unknown TimeZone '(.*?)'/,
    code: SqlState.invalidParameterValue,
    message: 'invalid value for parameter "TimeZone": "$1"',
  },
  {
    when: /out of range for the destination type FLOAT\b/,
    code: SqlState.numericValueOutOfRange,
    message: 'value out of range: overflow',
  },
  {
    when: /out of range for the destination type INT16|Overflow in \w+ of INT16\b|Overflow on abs\(-32768\)/,
    code: SqlState.numericValueOutOfRange,
    message: 'smallint out of range',
  },
  {
    when: /out of range for the destination type INT32|Overflow in \w+ of INT32\b|Overflow on abs\(-2147483648\)/,
    code: SqlState.numericValueOutOfRange,
    message: 'integer out of range',
  },
  {
    when: /out of range for the destination type INT64|Overflow in \w+ of INT64\b|Overflow on abs\(-9223372036854775808\)/,
    code: SqlState.numericValueOutOfRange,
    message: 'bigint out of range',
  },
  {
    when: /out of range|Could not cast value .* to DECIMAL|^Out of Range/i,
    code: SqlState.numericValueOutOfRange,
    message: null,
  },
  { when: /^Conversion Error/, code: SqlState.invalidTextRepresentation, message: null },
  { when: /^IO Error|^HTTP Error/, code: SqlState.ioError, message: 'could not read or write a data file' },
  { when: /^Parser Error/, code: SqlState.syntaxError, message: null },
  { when: /^Catalog Error: Table /, code: SqlState.undefinedTable, message: null },
  {
    when: /^Catalog Error: .*Function|^Binder Error: No function matches/,
    code: SqlState.undefinedFunction,
    message: null,
  },
  { when: /^Catalog Error: Type /, code: SqlState.undefinedObject, message: null },
  {
    when: /^Binder Error: (?:Referenced column|Table .* does not have a column|Values list .* does not have a column)/,
    code: SqlState.undefinedColumn,
    message: null,
  },
  { when: /^Binder Error: Referenced table/, code: SqlState.undefinedTable, message: null },
  { when: /^Binder Error: Ambiguous reference/, code: SqlState.ambiguousColumn, message: null },
  { when: /^(?:Binder|Not implemented|Catalog|Dependency) Error/, code: SqlState.featureNotSupported, message: null },
  { when: /^Mismatch Type Error/, code: SqlState.datatypeMismatch, message: null },
  { when: /^Permission Error/, code: SqlState.insufficientPrivilege, message: null },
  { when: /^Invalid Input Error/, code: SqlState.invalidParameterValue, message: null },
];

/** An error of a function of Arka's own, on one line: DuckDB has room for a text alone. */
export function codedText({ code, fields, message }: SqlError): string {
  return `${code}: ${[message, fields.detail ?? '', fields.hint ?? ''].join(BETWEEN)}`;
}

function codedError(code: string, text: string, cause: unknown): SqlError {
  const [message = '', detail = '', hint = ''] = text.split(BETWEEN);
  return new SqlError(code as SqlState, message, {
    cause,
    ...(detail === '' ? {} : { detail }),
    ...(hint === '' ? {} : { hint }),
  });
}

const BETWEEN = '\u001F';

/** `error('22012: division by zero')` in generated SQL names its SQLSTATE itself. */
const CODED = /^Invalid Input Error: ([0-9A-Z]{5}): (.*)$/;
const KNOWN = new Set<string>(Object.values(SqlState));

/** A numeric that does not fit its column. */
const DECIMAL_OVERFLOW = /^[A-Za-z ]+ Error: (?:Casting|Could not cast) value .* to (?:type )?DECIMAL\((\d+), ?(\d+)\)/;

function numericOverflow(precision: number, scale: number, cause: unknown): SqlError {
  const whole = precision - scale;
  return new SqlError(SqlState.numericValueOutOfRange, 'numeric field overflow', {
    detail: `A field with precision ${precision}, scale ${scale} must round to an absolute value less than ${whole > 0 ? `10^${whole}` : '1'}.`,
    cause,
  });
}

/** What DuckDB says of a Parquet file whose bytes are not what was written. */
const DAMAGED =
  /No magic bytes|Footer length error|Variable-length int|Decompression failure|Protocol ?Exception|Out of buffer|Failed to read file|too small to be a Parquet/i;
const DATA_FILE = /[^/\s"']+\.parquet\b/;

function fileError(text: string, error: unknown): SqlError | null {
  const damaged = DAMAGED.test(text);
  if (!damaged && !/^IO Error(?!.*No space left)/.test(text)) return null;
  const name = DATA_FILE.exec(text)?.[0] ?? null;
  if (name === null && !damaged) return null;
  const file = name === null ? 'a data file' : `data file "${name}"`;
  return damaged
    ? new SqlError(SqlState.dataCorrupted, `${file} is damaged`, { detail: withoutPaths(text), cause: error })
    : new SqlError(SqlState.ioError, `could not read or write ${file}`, { cause: error });
}

export function engineError(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  if (error instanceof InvariantViolation) return toSqlError(error);
  const text = error instanceof Error ? error.message : String(error);
  const first = text.split('\n', 1)[0]!;
  const coded = CODED.exec(first);
  if (coded !== null && KNOWN.has(coded[1]!)) return codedError(coded[1]!, coded[2]!, error);
  const decimal = DECIMAL_OVERFLOW.exec(first);
  if (decimal !== null) return numericOverflow(Number(decimal[1]), Number(decimal[2]), error);
  const ofFile = fileError(first, error);
  if (ofFile !== null) return ofFile;
  for (const rule of BY_TEXT) {
    const found = rule.when.exec(first);
    if (found === null) continue;
    const message =
      rule.message === null ? withoutPaths(withoutClass(first)) : rule.message.replace('$1', () => found[1] ?? '');
    return new SqlError(rule.code, message, { cause: error, ...(rule.hint === undefined ? {} : { hint: rule.hint }) });
  }
  return new SqlError(SqlState.internalError, withoutPaths(withoutClass(first)), { cause: error });
}

function withoutClass(line: string): string {
  return line.replace(/^[A-Za-z ]+ Error: /, '');
}

function withoutPaths(line: string): string {
  return line.replaceAll(/"?\/[^\s"']+"?/g, '(file)');
}
