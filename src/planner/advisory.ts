/** PostgreSQL's functions of advisory locks. They are Arka's to carry out: PGlite has one session for all, and would give each lock to everybody. */
import type { Node } from 'libpg-query';
import { Oid } from '../types/pg-type.ts';

export interface AdvisoryFunction {
  /** lock waits, try does not, unlock gives back one, unlockAll what the session holds. */
  readonly action: 'lock' | 'try' | 'unlock' | 'unlockAll';
  readonly isShared: boolean;
  /** Until when it is held. */
  readonly until: 'session' | 'transaction';
}

const FUNCTIONS: ReadonlyMap<string, AdvisoryFunction> = new Map([
  ['pg_advisory_unlock_all', { action: 'unlockAll', isShared: false, until: 'session' }],
  ...[false, true].flatMap((isShared): [string, AdvisoryFunction][] => {
    const suffix = isShared ? '_shared' : '';
    return [
      [`pg_advisory_lock${suffix}`, { action: 'lock', isShared, until: 'session' }],
      [`pg_advisory_xact_lock${suffix}`, { action: 'lock', isShared, until: 'transaction' }],
      [`pg_try_advisory_lock${suffix}`, { action: 'try', isShared, until: 'session' }],
      [`pg_try_advisory_xact_lock${suffix}`, { action: 'try', isShared, until: 'transaction' }],
      [`pg_advisory_unlock${suffix}`, { action: 'unlock', isShared, until: 'session' }],
    ];
  }),
]);

/** Undefined: another function. */
export function advisoryFunction(name: readonly Node[] | undefined): AdvisoryFunction | undefined {
  const last = name?.at(-1);
  return last !== undefined && 'String' in last ? FUNCTIONS.get(last.String.sval ?? '') : undefined;
}

/** A key is a bigint or two integers. */
export function advisoryArguments({ action }: AdvisoryFunction, count: number): readonly string[] | undefined {
  if (action === 'unlockAll') return count === 0 ? [] : undefined;
  return count === 1 ? ['int8'] : count === 2 ? ['int4', 'int4'] : undefined;
}

/** With the arguments that it has in PostgreSQL, which refuses others itself. */
export function isAdvisoryCall(name: readonly Node[] | undefined, args: unknown): boolean {
  const found = advisoryFunction(name);
  return found !== undefined && advisoryArguments(found, Array.isArray(args) ? args.length : 0) !== undefined;
}

export function advisoryType({ action }: AdvisoryFunction): number {
  return action === 'lock' || action === 'unlockAll' ? Oid.void : Oid.bool;
}
