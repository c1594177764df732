/**
 * Functions that act on the session: those of advisory locks, and set_config. They are Arka's to carry out: PGlite has one session
 * for all, would give each lock to everybody, and keep each setting for itself.
 */
import type { Node } from 'libpg-query';
import { Oid } from '../types/pg-type.ts';

export type SessionFunction = AdvisoryFunction | PlainFunction;

export interface PlainFunction {
  readonly action: 'setConfig' | 'sleep' | 'sleepFor' | 'sleepUntil' | 'notify' | 'cancel' | 'terminate';
}

export interface AdvisoryFunction {
  /** lock waits, try does not, unlock gives back one, unlockAll what the session holds. */
  readonly action: 'lock' | 'try' | 'unlock' | 'unlockAll';
  readonly isShared: boolean;
  /** Until when it is held. */
  readonly until: 'session' | 'transaction';
}

const FUNCTIONS: ReadonlyMap<string, SessionFunction> = new Map<string, SessionFunction>([
  ['set_config', { action: 'setConfig' }],
  ['pg_sleep', { action: 'sleep' }],
  ['pg_sleep_for', { action: 'sleepFor' }],
  ['pg_sleep_until', { action: 'sleepUntil' }],
  ['pg_notify', { action: 'notify' }],
  ['pg_cancel_backend', { action: 'cancel' }],
  ['pg_terminate_backend', { action: 'terminate' }],
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

/** Types of the arguments. */
const PLAIN: Readonly<Record<string, readonly (readonly string[])[]>> = {
  setConfig: [['text', 'text', 'bool']],
  sleep: [['float8']],
  sleepFor: [['interval']],
  sleepUntil: [['timestamptz']],
  notify: [['text', 'text']],
  cancel: [['int4']],
  terminate: [['int4'], ['int4', 'int8']],
};

/** Undefined: another function. */
export function sessionFunction(name: readonly Node[] | undefined): SessionFunction | undefined {
  const last = name?.at(-1);
  return last !== undefined && 'String' in last ? FUNCTIONS.get(last.String.sval ?? '') : undefined;
}

/** Types of so many arguments; the key of a lock is a bigint or two integers. Undefined: it has no such form. */
export function sessionArguments({ action }: SessionFunction, count: number): readonly string[] | undefined {
  if (action === 'unlockAll') return count === 0 ? [] : undefined;
  const plain = PLAIN[action];
  if (plain !== undefined) return plain.find((types) => types.length === count);
  return count === 1 ? ['int8'] : count === 2 ? ['int4', 'int4'] : undefined;
}

/** With the arguments that it has in PostgreSQL, which refuses others itself. A short sleep may stand anywhere: PGlite has one, too. */
export function isSessionCall(name: readonly Node[] | undefined, args: unknown): boolean {
  const found = sessionFunction(name);
  if (found === undefined || found.action.startsWith('sleep')) return false;
  return sessionArguments(found, Array.isArray(args) ? args.length : 0) !== undefined;
}

const VOID: ReadonlySet<string> = new Set(['lock', 'unlockAll', 'sleep', 'sleepFor', 'sleepUntil', 'notify']);

export function sessionType({ action }: SessionFunction): number {
  if (action === 'setConfig') return Oid.text;
  return VOID.has(action) ? Oid.void : Oid.bool;
}
