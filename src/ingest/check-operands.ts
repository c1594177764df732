/**
 * Operands of CHECK over vectors: closures made once a table, called once a row. Values are exact: integers are numbers while they
 * are safe, else bigints (the two compare with each other), numerics are integers of their scale.
 */
import type { Arithmetic, CheckFunction, Condition, Operand } from '../check-def.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { PgType, TableDef } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { isValid, type ColumnVector } from '../types/column-vector.ts';
import { DATE_INFINITY } from '../types/civil-date.ts';
import { putNow } from '../types/datetime-input.ts';
import { formatType } from '../types/format-type.ts';
import { putText } from '../types/parse-text-value.ts';
import { isWideNumeric, numericModifier, Oid, physicalOf } from '../types/pg-type.ts';
import { putIntervalKey, putNumericKey } from '../types/sort-key.ts';
import { textInput, type TimeContext } from '../types/text-input.ts';
import { putTimetzKey } from '../types/timetz.ts';
import { decodeText } from '../types/utf8.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { floatOf, INSTANT_INFINITY, integerOf, numericOf, rowFunction, shownText, splitDay } from './row-functions.ts';
import { TEXTS } from '../types/type-kinds.ts';

export type Value = number | bigint | string | boolean | null;
export type Row = readonly ColumnVector[];
export type Read = (row: Row, at: number) => Value;

export const isNumeric = ({ oid }: PgType): boolean => oid === Oid.numeric;
export const isFloat = ({ oid }: PgType): boolean => oid === Oid.float4 || oid === Oid.float8;

export function scaleOf(type: PgType): number {
  return isNumeric(type) ? (numericModifier(type.typmod)?.scale ?? 0) : 0;
}

/** What an operand that holds conditions is made with. */
export type Tester = (condition: Condition) => (row: Row, at: number) => boolean | null;

/** @param context for constants and the clock: the session's, or none */
export function operandReader(operand: Operand, def: TableDef, context: TimeContext, tester: Tester): Read {
  const reader = (each: Operand): Read => operandReader(each, def, context, tester);
  switch (operand.kind) {
    case 'condition': {
      const test = tester(operand.of);
      if (operand.type.oid === Oid.bool) return test;
      return (row, at) => {
        const value = test(row, at);
        return value === null ? null : Number(value);
      };
    }
    case 'case': {
      const whens = operand.whens.map(({ test, result }) => ({ test: tester(test), result: reader(result) }));
      const otherwise = reader(operand.otherwise);
      return (row, at) => (whens.find(({ test }) => test(row, at) === true)?.result ?? otherwise)(row, at);
    }
    case 'column': {
      const index = def.columns.findIndex((column) => column.fieldId === operand.fieldId);
      const read = vectorReader(operand.type);
      return (row, at) => {
        const vector = row[index]!;
        return isValid(vector, at) ? read(vector, at) : null;
      };
    }
    case 'key': {
      const read = reader(operand.of);
      const key = keyOf(operand.type, operand.of.type);
      return (row, at) => {
        const value = read(row, at);
        return value === null ? null : key(value);
      };
    }
    case 'constant': {
      const value = constantValue(operand.text, operand.type, context);
      return () => value;
    }
    case 'now':
      return () => {
        const builder = new VectorBuilder(physicalOf(operand.type));
        putNow(operand.type, context.now(), context.timeZone, builder);
        return vectorReader(operand.type)(builder.vector(), 0);
      };
    case 'function': {
      const of = rowFunction(
        operand.name,
        operand.args.map(({ type }) => type),
      );
      const args = operand.args.map(reader);
      return (row, at) => {
        const values: Exclude<Value, null>[] = [];
        for (const arg of args) {
          const value = arg(row, at);
          if (value === null) return null;
          values.push(value);
        }
        return of(...values);
      };
    }
    case 'cast':
      return castReader(reader(operand.of), operand.of.type, operand.type);
    case 'call':
      return callReader(operand.name, operand.args, operand.type, reader);
    default: {
      const { op, left, right, type } = operand;
      const reads = [reader(left), reader(right)] as const;
      return arithmeticReader(op, [left.type, right.type], type, reads);
    }
  }
}

/** As PostgreSQL's casts of these types do it. @throws {SqlError} where a value is none of the type */
function castReader(read: Read, from: PgType, type: PgType): Read {
  const of = castOf(from, type);
  return (row, at) => {
    const value = read(row, at);
    return value === null ? null : of(value);
  };
}

function castOf(from: PgType, type: PgType): (value: Exclude<Value, null>) => Value {
  const isNumber = from.oid === Oid.numeric || isFloat(from) || LIMITS.has(from.oid);
  if (isNumber && LIMITS.has(type.oid)) return integerOf(type, from);
  if (isNumber && isFloat(type)) return floatOf(type, from);
  if (from.oid === Oid.timestamp)
    return (micros) => {
      const value = BigInt(micros);
      if (value === INSTANT_INFINITY) return DATE_INFINITY;
      return value === -INSTANT_INFINITY ? -DATE_INFINITY : splitDay(value)[0];
    };
  const shown = type.oid === Oid.numeric && isNumber ? numericOf(from) : shownText(from);
  if (isWideNumeric(type) && type.typmod < 0 && isNumber) return shown;
  if (type.oid === Oid.varchar && type.typmod >= 4)
    return (value) => [...shown(value)].slice(0, type.typmod - 4).join('');
  if (TEXTS.has(type.oid)) return shown;
  const [input, builder, value] = [textInput(type), new VectorBuilder(physicalOf(type)), vectorReader(type)];
  return (given) => {
    builder.reset();
    putText(input, shown(given), builder);
    return value(builder.vector(), 0);
  };
}

const KEYS: Readonly<Record<number, (text: string, out: ByteWriter) => void>> = {
  [Oid.numeric]: putNumericKey,
  [Oid.interval]: putIntervalKey,
  [Oid.timetz]: putTimetzKey,
};

/** What a value of type `from` compares by as one of type `type`, in digits: texts in the order of their bytes. */
function keyOf(type: PgType, from: PgType): (value: Exclude<Value, null>) => string {
  const out = new ByteWriter(64);
  const put = KEYS[type.oid]!;
  const scale = scaleOf(from);
  return (value) => {
    out.length = 0;
    put(typeof value === 'string' ? value : pointed(String(value), scale), out);
    return Buffer.from(out.bytes.buffer, out.bytes.byteOffset, out.length).toString('hex');
  };
}

/** The text of a numeric of this scale, of its digits. */
function pointed(digits: string, scale: number): string {
  if (scale === 0) return digits;
  const sign = digits.startsWith('-') ? '-' : '';
  const all = digits.slice(sign.length).padStart(scale + 1, '0');
  return `${sign}${all.slice(0, -scale)}.${all.slice(-scale)}`;
}

function constantValue(text: string | null, type: PgType, context: TimeContext): Value {
  if (text === null) return null;
  const builder = new VectorBuilder(physicalOf(type));
  putText(textInput(type, context), text, builder);
  return vectorReader(type)(builder.vector(), 0);
}

function vectorReader(type: PgType): (vector: ColumnVector, at: number) => Value {
  switch (physicalOf(type)) {
    case 'bool':
      return ({ bits }, at) => (bits[at >> 3]! & (1 << (at & 7))) !== 0;
    case 'int32':
      return ({ words }, at) => words[at]!;
    case 'int64':
      return ({ words }, at) => int64(words[at * 2]!, words[at * 2 + 1]!);
    case 'int128':
      return ({ words }, at) => int128(words, at * 4);
    case 'float32':
      return ({ float32 }, at) => float32[at]!;
    case 'float64':
      return ({ float64 }, at) => float64[at]!;
    case 'fixed16':
      return ({ words }, at) => Buffer.from(words.buffer, words.byteOffset + at * 16, 16).toString('hex');
    default:
      return ({ heap, starts, ends }, at) => decodeText(heap, starts[at]!, ends[at]!);
  }
}

function int64(low: number, high: number): number | bigint {
  if (high >= -0x20_0000 && high < 0x20_0000) return high * 4_294_967_296 + (low >>> 0);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function int128(words: Int32Array, at: number): number | bigint {
  const sign = words[at + 1]! >> 31;
  if (words[at + 2] === sign && words[at + 3] === sign) return int64(words[at]!, words[at + 1]!);
  const high = (BigInt(words[at + 3]!) << 32n) | BigInt(words[at + 2]! >>> 0);
  return (high << 64n) | (BigInt(words[at + 1]! >>> 0) << 32n) | BigInt(words[at]! >>> 0);
}

function callReader(
  name: CheckFunction,
  operands: readonly Operand[],
  type: PgType,
  reader: (operand: Operand) => Read,
): Read {
  if (name === 'coalesce') {
    const reads = operands.map((each) => scaled(reader(each), scaleOf(each.type), scaleOf(type)));
    return (row, at) => {
      for (const read of reads) {
        const value = read(row, at);
        if (value !== null) return value;
      }
      return null;
    };
  }
  const args = operands.map(reader);
  if (name === 'greatest' || name === 'least') return extreme(args, name === 'greatest');
  if (name === 'strpos' || name === 'starts_with') {
    const [text, part] = args as [Read, Read];
    return pairwise(text, part, (a, b) =>
      name === 'starts_with' ? (a as string).startsWith(b as string) : placeOf(a as string, b as string),
    );
  }
  if (name === 'num_nonnulls')
    return (row, at) => args.reduce((count, arg) => count + (arg(row, at) === null ? 0 : 1), 0);
  const of = TEXT_FUNCTIONS[name];
  const [arg] = args as [Read];
  if (of === undefined)
    return (row, at) => {
      const value = arg(row, at);
      return typeof value === 'number' ? Math.abs(value) : typeof value === 'bigint' && value < 0n ? -value : value;
    };
  return (row, at) => {
    const value = arg(row, at);
    return value === null ? null : of(value as string);
  };
}

/** From 1, in characters; 0: nowhere. */
function placeOf(text: string, part: string): number {
  const at = text.indexOf(part);
  return at < 0 ? 0 : [...text.slice(0, at)].length + 1;
}

/** The largest or the least; NULLs do not count. */
function extreme(args: readonly Read[], largest: boolean): Read {
  return (row, at) => {
    let found: Value = null;
    for (const arg of args) {
      const value = arg(row, at);
      if (value !== null && (found === null || (largest ? value > found : value < found))) found = value;
    }
    return found;
  };
}

/** Characters for themselves, one for one: ß has no other. */
function eachCharacter(text: string, of: (character: string) => string): string {
  const whole = of(text);
  if (whole.length === text.length) return whole;
  return Array.from(text, (one) => (of(one).length === one.length ? of(one) : one)).join('');
}

const TEXT_FUNCTIONS: Readonly<Partial<Record<CheckFunction, (value: string) => Value>>> = {
  length: (value) => {
    let count = 0;
    for (const _ of value) count++;
    return count;
  },
  octet_length: (value) => Buffer.byteLength(value),
  lower: (value) => eachCharacter(value, (one) => one.toLowerCase()),
  upper: (value) => eachCharacter(value, (one) => one.toUpperCase()),
  trim: (value) => value.replaceAll(/^ +| +$/g, ''),
};

/** The value of a numeric or an integer at another scale, which is not less. */
export function scaled(read: Read, from: number, to: number): Read {
  if (from >= to) return read;
  const factor = 10n ** BigInt(to - from);
  return (row, at) => {
    const value = read(row, at);
    return value === null ? null : narrow(BigInt(value as number | bigint) * factor);
  };
}

function narrow(value: bigint): number | bigint {
  return value <= 9_007_199_254_740_991n && value >= -9_007_199_254_740_991n ? Number(value) : value;
}

/** As a double, where the other side is one. */
export function asFloat(read: Read, type: PgType): Read {
  if (isFloat(type)) return read;
  const divisor = 10 ** scaleOf(type);
  return (row, at) => {
    const value = read(row, at);
    return value === null ? null : Number(value) / divisor;
  };
}

const LIMITS: ReadonlyMap<number, bigint> = new Map([
  [Oid.int2, 32_767n],
  [Oid.int4, 2_147_483_647n],
  [Oid.int8, 9_223_372_036_854_775_807n],
]);

function arithmeticReader(
  op: Arithmetic,
  types: readonly [PgType, PgType],
  type: PgType,
  reads: readonly [Read, Read],
): Read {
  if (isFloat(type)) {
    const [left, right] = [asFloat(reads[0], types[0]), asFloat(reads[1], types[1])];
    return pairwise(left, right, (a, b) => {
      const [x, y] = [a as number, b as number];
      return op === '+' ? x + y : op === '-' ? x - y : x * y;
    });
  }
  const scale = op === '*' ? null : scaleOf(type);
  const at = (i: 0 | 1): Read => (scale === null ? reads[i] : scaled(reads[i], scaleOf(types[i]), scale));
  const limit = LIMITS.get(type.oid);
  return pairwise(at(0), at(1), (a, b) => {
    const [x, y] = [BigInt(a as number | bigint), BigInt(b as number | bigint)];
    if ((op === '/' || op === '%') && y === 0n) throw new SqlError(SqlState.divisionByZero, 'division by zero');
    const result = WHOLE[op](x, y);
    if (limit !== undefined && (result > limit || result < -limit - 1n))
      throw new SqlError(SqlState.numericValueOutOfRange, `${formatType({ oid: type.oid, typmod: -1 })} out of range`);
    return narrow(result);
  });
}

const WHOLE: Readonly<Record<Arithmetic, (x: bigint, y: bigint) => bigint>> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '%': (x, y) => x % y,
};

function pairwise(left: Read, right: Read, of: (a: Value, b: Value) => Value): Read {
  return (row, at) => {
    const a = left(row, at);
    if (a === null) return null;
    const b = right(row, at);
    return b === null ? null : of(a, b);
  };
}
