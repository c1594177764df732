/**
 * Functions that act on the session: those of advisory locks, and set_config. They are Arka's to carry out: PGlite has one session
 * for all, would give each lock to everybody, and keep each setting for itself.
 */
import type { Node } from 'libpg-query';
import { Oid } from '../types/pg-type.ts';

export type SessionFunction = AdvisoryFunction | { readonly action: 'setConfig' };

export interface AdvisoryFunction {
  /** lock waits, try does not, unlock gives back one, unlockAll what the session holds. */
  readonly action: 'lock' | 'try' | 'unlock' | 'unlockAll';
  readonly isShared: boolean;
  /** Until when it is held. */
  readonly until: 'session' | 'transaction';
}

const FUNCTIONS: ReadonlyMap<string, SessionFunction> = new Map<string, SessionFunction>([
  ['set_config', { action: 'setConfig' }],
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
export function sessionFunction(name: readonly Node[] | undefined): SessionFunction | undefined {
  const last = name?.at(-1);
  return last !== undefined && 'String' in last ? FUNCTIONS.get(last.String.sval ?? '') : undefined;
}

/** Types of so many arguments; the key of a lock is a bigint or two integers. Undefined: it has no such form. */
export function sessionArguments({ action }: SessionFunction, count: number): readonly string[] | undefined {
  if (action === 'unlockAll') return count === 0 ? [] : undefined;
  if (action === 'setConfig') return count === 3 ? ['text', 'text', 'bool'] : undefined;
  return count === 1 ? ['int8'] : count === 2 ? ['int4', 'int4'] : undefined;
}

/** With the arguments that it has in PostgreSQL, which refuses others itself. */
export function isSessionCall(name: readonly Node[] | undefined, args: unknown): boolean {
  const found = sessionFunction(name);
  return found !== undefined && sessionArguments(found, Array.isArray(args) ? args.length : 0) !== undefined;
}

export function sessionType({ action }: SessionFunction): number {
  if (action === 'setConfig') return Oid.text;
  return action === 'lock' || action === 'unlockAll' ? Oid.void : Oid.bool;
}
