/** What settings may be set to, and how PostgreSQL writes it: the values that Arka acts on, all others are kept as they are. */
import { SqlError, SqlState } from '../errors.ts';
import { isolationLevel } from '../planner/settings.ts';
import { timeZone } from '../types/time-zone.ts';

const BOOLEANS = new Set(['default_transaction_read_only', 'default_transaction_deferrable']);
const TRUE = /^(on|t|tr|tru|true|y|ye|yes|1)$/i;
const FALSE = /^(of|off|f|fa|fal|fals|false|n|no|0)$/i;

/** Times, as SHOW has them; 0: none. */
const TIMES = new Set([
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout',
]);
const UNITS_MS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
  ['us', 0.001],
];
const TIME_MS_MAX = 2 ** 31 - 1;

/** @throws {SqlError} 22023 for a value that the setting cannot have, 0A000 for one that Arka has not */
export function settingValue(key: string, name: string, value: string): string {
  if (TIMES.has(key)) return timeText(timeMs(name, value));
  if (BOOLEANS.has(key)) return settingBoolean(name, value) ? 'on' : 'off';
  const invalid = (): SqlError =>
    new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "${name}": "${value}"`);
  switch (key) {
    case 'client_encoding':
      if (!/^'?(utf-?8|unicode|sql_ascii)'?$/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, `client_encoding ${value} is not supported`, {
          hint: 'Use UTF8.',
        });
      return 'UTF8';
    case 'timezone':
      return timeZone(value).name;
    case 'datestyle':
      if (!/^\s*iso/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, `DateStyle ${value} is not supported`, { hint: 'Use ISO.' });
      return /dmy/i.test(value) ? 'ISO, DMY' : /ymd/i.test(value) ? 'ISO, YMD' : 'ISO, MDY';
    case 'synchronous_commit':
      if (!/^(on|off|true|false|yes|no|1|0|local|remote_write|remote_apply)$/i.test(value)) throw invalid();
      return value.toLowerCase();
    case 'standard_conforming_strings':
      if (!/^(on|true|yes|1)$/i.test(value))
        throw new SqlError(SqlState.featureNotSupported, 'standard_conforming_strings = off is not supported');
      return 'on';
    case 'default_transaction_isolation':
      return isolationLevel(name, value);
    case 'arka.serializable':
      if (value !== 'refuse' && value !== 'repeatable_read') throw invalid();
      return value;
    case 'arka.cold_reader':
      if (value !== 'native')
        throw new SqlError(SqlState.featureNotSupported, `arka.cold_reader = ${value} is not supported`, {
          hint: 'Use native.',
        });
      return value;
    default:
      return value;
  }
}

/** @throws {SqlError} 22023 */
export function settingBoolean(name: string, value: string): boolean {
  if (TRUE.test(value)) return true;
  if (FALSE.test(value)) return false;
  throw new SqlError(SqlState.invalidParameterValue, `parameter "${name}" requires a Boolean value`);
}

function timeMs(name: string, value: string): number {
  const match = /^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(\S.*?)?\s*$/i.exec(value);
  const unit = match?.[2] === undefined ? 1 : UNITS_MS.find(([each]) => each === match[2])?.[1];
  if (match === null || unit === undefined) {
    throw new SqlError(
      SqlState.invalidParameterValue,
      `invalid value for parameter "${name}": "${value}"`,
      match === null ? {} : { hint: 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".' },
    );
  }
  const ms = Math.round(Number(match[1]) * unit);
  if (ms >= 0 && ms <= TIME_MS_MAX) return ms;
  throw new SqlError(
    SqlState.invalidParameterValue,
    `${ms} ms is outside the valid range for parameter "${name}" (0 .. ${TIME_MS_MAX})`,
  );
}

function timeText(ms: number): string {
  if (ms === 0) return '0';
  const [unit, size] = UNITS_MS.find(([, each]) => ms % each === 0)!;
  return `${ms / size}${unit}`;
}

/** Milliseconds of a time as `settingValue` wrote it. */
export function timeOf(text: string): number {
  const [, digits, unit] = /^(\d+)(\w*)$/.exec(text)!;
  return Number(digits) * (UNITS_MS.find(([each]) => each === unit)?.[1] ?? 1);
}
