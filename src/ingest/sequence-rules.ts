/** From the options of CREATE and ALTER SEQUENCE to a definition, by PostgreSQL's rules, defaults and errors. */
import { SqlError, SqlState } from '../errors.ts';
import type { SequenceDef, SequenceOptions, SequenceState, StoredSequence } from '../sequence-def.ts';
import { formatType } from '../types/format-type.ts';
import { Oid } from '../types/pg-type.ts';

const LIMITS: ReadonlyMap<number, bigint> = new Map([
  [Oid.int2, 32_767n],
  [Oid.int4, 2_147_483_647n],
  [Oid.int8, 9_223_372_036_854_775_807n],
]);

export type SequenceName = Pick<SequenceDef, 'oid' | 'schema' | 'name' | 'owner'>;

/** @throws {SqlError} 22023 */
export function newSequence(name: SequenceName, options: SequenceOptions): SequenceDef {
  const typeOid = options.typeOid ?? Oid.int8;
  const increment = options.increment ?? 1n;
  const { min, max } = boundsOf(typeOid, increment, options.min ?? null, options.max ?? null);
  const start = options.start ?? (increment > 0n ? min : max);
  const def: SequenceDef = {
    ...name,
    typeOid,
    start: String(start),
    increment: String(increment),
    min: String(min),
    max: String(max),
    cache: options.cache ?? 1,
    cycle: options.cycle ?? false,
    ...unloggedOf(options),
  };
  check(def);
  return def;
}

/** @throws {SqlError} 22023 */
export function alteredSequence({ def, state }: StoredSequence, options: SequenceOptions): StoredSequence {
  const typeOid = options.typeOid ?? def.typeOid;
  const increment = options.increment ?? BigInt(def.increment);
  // A bound that was its type's becomes the new type's.
  const wasTypes = (bound: string, max: boolean): boolean =>
    typeOid !== def.typeOid && BigInt(bound) === typeBound(def.typeOid, max);
  const kept = (given: bigint | null | undefined, bound: string, max: boolean): bigint | null =>
    given === undefined ? (wasTypes(bound, max) ? typeBound(typeOid, max) : BigInt(bound)) : given;
  const { min, max } = boundsOf(
    typeOid,
    increment,
    kept(options.min, def.min, false),
    kept(options.max, def.max, true),
  );
  const altered: SequenceDef = {
    ...def,
    typeOid,
    increment: String(increment),
    min: String(min),
    max: String(max),
    start: String(options.start ?? def.start),
    cache: options.cache ?? def.cache,
    cycle: options.cycle ?? def.cycle,
    ...unloggedOf(options),
  };
  check(altered);
  const next: SequenceState =
    options.restart === undefined ? state : { last: String(options.restart ?? altered.start), isCalled: false };
  checkLast(altered, next);
  const { logged: _, ...unlogged } = next;
  return { def: altered, state: forgetsLog(options, def, altered) ? unlogged : next };
}

/** Whether what PostgreSQL has written ahead is of no use any more (L2 in sequence-log.ts): also where an option says what is so already. */
function forgetsLog(
  { increment, cycle, cache, min, max, restart }: SequenceOptions,
  was: SequenceDef,
  is: SequenceDef,
): boolean {
  const isSaid = [increment, cycle, cache, min, max, restart].some((option) => option !== undefined);
  return isSaid || was.min !== is.min || was.max !== is.max;
}

const unloggedOf = ({ unlogged }: SequenceOptions): Pick<SequenceDef, 'unlogged'> =>
  unlogged === undefined ? {} : { unlogged };

function typeBound(typeOid: number, max: boolean): bigint {
  const limit = LIMITS.get(typeOid)!;
  return max ? limit : -limit - 1n;
}

function boundsOf(
  typeOid: number,
  increment: bigint,
  min: bigint | null,
  max: bigint | null,
): { readonly min: bigint; readonly max: bigint } {
  const isUp = increment > 0n;
  return {
    max: max ?? (isUp ? typeBound(typeOid, true) : -1n),
    min: min ?? (isUp ? 1n : typeBound(typeOid, false)),
  };
}

function check({ typeOid, increment, min, max, start }: SequenceDef): void {
  const invalid = (message: string): SqlError => new SqlError(SqlState.invalidParameterValue, message);
  if (increment === '0') throw invalid('INCREMENT must not be zero');
  const type = formatType({ oid: typeOid, typmod: -1 });
  if (BigInt(max) > typeBound(typeOid, true) || BigInt(max) < typeBound(typeOid, false))
    throw invalid(`MAXVALUE (${max}) is out of range for sequence data type ${type}`);
  if (BigInt(min) < typeBound(typeOid, false) || BigInt(min) > typeBound(typeOid, true))
    throw invalid(`MINVALUE (${min}) is out of range for sequence data type ${type}`);
  if (BigInt(min) >= BigInt(max)) throw invalid(`MINVALUE (${min}) must be less than MAXVALUE (${max})`);
  if (BigInt(start) < BigInt(min)) throw invalid(`START value (${start}) cannot be less than MINVALUE (${min})`);
  if (BigInt(start) > BigInt(max)) throw invalid(`START value (${start}) cannot be greater than MAXVALUE (${max})`);
}

function checkLast({ min, max }: SequenceDef, { last }: SequenceState): void {
  const invalid = (message: string): SqlError => new SqlError(SqlState.invalidParameterValue, message);
  if (BigInt(last) < BigInt(min)) throw invalid(`RESTART value (${last}) cannot be less than MINVALUE (${min})`);
  if (BigInt(last) > BigInt(max)) throw invalid(`RESTART value (${last}) cannot be greater than MAXVALUE (${max})`);
}
