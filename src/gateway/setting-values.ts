/**
 * What settings may be set to, and how SHOW writes it. A list knows their types and bounds (`setting-list.ts`); those that Arka acts on
 * are checked further here, and what they cannot do yet is refused: no setting is taken whose effect would be missing in results.
 */
import { SqlError, SqlState } from '../errors.ts';
import { isolationLevel } from '../planner/settings.ts';
import { dateStyle } from '../types/output-styles.ts';
import { encodingName } from '../types/client-encoding.ts';
import { timeZone } from '../types/time-zone.ts';
import type { SettingDef } from './setting-list.ts';
import { SETTINGS } from './setting-list.ts';

const TRUE = /^(on|t|tr|tru|true|y|ye|yes|1)$/i;
const FALSE = /^(of|off|f|fa|fal|fals|false|n|no|0)$/i;

/** Units, largest first, as multiples of the first. */
const TIME: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
  ['us', 0.001],
];
const MEMORY: readonly (readonly [string, number])[] = [
  ['TB', 2 ** 40],
  ['GB', 2 ** 30],
  ['MB', 2 ** 20],
  ['kB', 2 ** 10],
  ['B', 1],
];

interface Unit {
  readonly units: readonly (readonly [string, number])[];
  readonly size: number;
  readonly hint: string;
}

/** Of a setting's base unit, `8kB` among them. */
function unitOf(base: string): Unit | null {
  if (base === '') return null;
  const match = /^(\d*)(\D+)$/.exec(base)!;
  const units = TIME.some(([unit]) => unit === match[2]) ? TIME : MEMORY;
  const one = units.find(([unit]) => unit === match[2])![1];
  const names = units === TIME ? '"us", "ms", "s", "min", "h", and "d"' : '"B", "kB", "MB", "GB", and "TB"';
  return {
    units,
    size: one * (match[1] === '' ? 1 : Number(match[1])),
    hint: `Valid units for this parameter are ${names}.`,
  };
}

const invalid = (name: string, value: string, hint?: string): SqlError =>
  new SqlError(
    SqlState.invalidParameterValue,
    `invalid value for parameter "${name}": "${value}"`,
    hint === undefined ? {} : { hint },
  );

/**
 * @param current what the setting is, where a value may leave a part of it
 * @throws {SqlError} 22023 for a value that the setting cannot have, 0A000 for one that Arka has not
 */
export function settingValue(key: string, name: string, value: string, current: string): string {
  const def = SETTINGS.get(key);
  const checked = def === undefined ? value : shownValue(def, def.name, value);
  switch (key) {
    case 'client_encoding':
      return clientEncoding(name, value);
    case 'timezone':
      if (value.includes('|')) throw invalid('TimeZone', value);
      return timeZone(value).name;
    case 'datestyle':
      return dateStyle('DateStyle', value, current);
    case 'standard_conforming_strings':
      if (checked !== 'on') throw missing(key, value, 'on');
      return checked;
    case 'role':
    case 'session_authorization':
      return value;
    case 'default_transaction_isolation':
      return isolationLevel(name, value);
    case 'arka.serializable':
      if (value !== 'refuse' && value !== 'repeatable_read') throw invalid(name, value);
      return value;
    case 'arka.cold_reader':
      if (value !== 'native') throw missing(key, value, 'native');
      return value;
    default:
      return checked;
  }
}

function clientEncoding(name: string, value: string): string {
  const encoding = encodingName(value);
  if (encoding === null) throw missing('client_encoding', value, 'UTF8');
  if (encoding === undefined) throw invalid(name, value);
  return encoding;
}

function missing(name: string, value: string, instead: string): SqlError {
  return new SqlError(SqlState.featureNotSupported, `${name} = ${value} is not supported`, { hint: `Use ${instead}.` });
}

/** As SHOW says it. */
function shownValue(def: SettingDef, name: string, value: string): string {
  switch (def.type) {
    case 'bool':
      return settingBoolean(name, value) ? 'on' : 'off';
    case 'enum':
      return enumValue(def, name, value);
    case 'int':
    case 'real':
      return withUnit(def, numberOf(def, name, value));
    default:
      return value;
  }
}

function enumValue({ values }: SettingDef, name: string, value: string): string {
  const given = value.toLowerCase();
  const known = values.find((each) => each.toLowerCase() === given);
  if (known !== undefined) return known;
  // many that were booleans once take them still
  const on = TRUE.test(value) && value.length > 1 ? 'on' : FALSE.test(value) && value.length > 1 ? 'off' : null;
  const synonym = on ?? (value === '1' ? 'on' : value === '0' ? 'off' : null);
  if (synonym !== null && values.includes(synonym)) return synonym;
  throw invalid(name, value, `Available values: ${values.join(', ')}.`);
}

/** @throws {SqlError} 22023 */
export function settingBoolean(name: string, value: string): boolean {
  if (TRUE.test(value)) return true;
  if (FALSE.test(value)) return false;
  throw new SqlError(SqlState.invalidParameterValue, `parameter "${name}" requires a Boolean value`);
}

/** In the setting's unit. */
function numberOf(def: SettingDef, name: string, value: string): number {
  const match = /^\s*([-+]?(?:0x[\da-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))\s*(\S.*?)?\s*$/i.exec(value);
  const unit = unitOf(def.unit);
  if (match === null) throw invalid(name, value);
  let number = Number(match[1]!.replace(/^\+/, ''));
  if (match[2] !== undefined) {
    const given = unit?.units.find(([each]) => each === match[2])?.[1];
    if (unit === null || given === undefined) throw invalid(name, value, unit?.hint);
    number *= given / unit.size;
  }
  if (def.type === 'int') number = Math.round(number);
  if (number >= def.min && number <= def.max) return number;
  const shown = def.unit === '' ? '' : ` ${def.unit}`;
  throw new SqlError(
    SqlState.invalidParameterValue,
    `${number}${shown} is outside the valid range for parameter "${name}" (${def.min} .. ${def.max})`,
  );
}

function withUnit(def: SettingDef, number: number): string {
  const unit = unitOf(def.unit);
  if (unit === null || number <= 0) return String(number);
  const size = number * unit.size;
  const [name, one] = unit.units.find(([, each]) => size % each === 0 && each >= 1) ?? ['', 0];
  return name === '' ? String(number) : `${size / one}${name}`;
}

/** A known setting's default as SHOW says it. */
export function defaultOf(def: SettingDef): string {
  const isNumber = (def.type === 'int' || def.type === 'real') && def.fallback !== '';
  return isNumber ? withUnit(def, Number(def.fallback)) : def.fallback;
}

/** As pg_settings has it: a number in the setting's unit. */
export function rawValue(def: SettingDef, shown: string): string {
  if ((def.type !== 'int' && def.type !== 'real') || shown === '') return shown;
  return String(numberOf({ ...def, min: -Infinity, max: Infinity }, def.name, shown));
}

/** Milliseconds of a time as `settingValue` wrote it. */
export function timeOf(text: string): number {
  const [, digits, unit] = /^(\d+)(\w*)$/.exec(text)!;
  return Number(digits) * (TIME.find(([each]) => each === unit)?.[1] ?? 1);
}
