/** DECLARE, FETCH, MOVE and CLOSE: SQL cursors, and portals of the protocol by the same names. */
import type { DeclareCursorStmt, FetchStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { innerStatement } from './inner-statement.ts';
import type { ParsedStatement, Statement } from './plan.ts';

/** Bits of PostgreSQL's cursor options. */
const BINARY = 0x1;
const SCROLL = 0x2;
const NO_SCROLL = 0x4;
const INSENSITIVE = 0x8;
const ASENSITIVE = 0x10;
const HOLD = 0x20;

/** @throws {SqlError} 42P11, 34000; 0A000 as PostgreSQL says it for rows that are locked */
export function planDeclare(
  statement: ParsedStatement,
  { portalname, options = 0, query }: DeclareCursorStmt,
): Statement {
  const has = (bit: number): boolean => (options & bit) !== 0;
  const name = portalname ?? '';
  if (name === '') throw new SqlError(SqlState.invalidCursorName, 'invalid cursor name: must not be empty');
  if (has(SCROLL) && has(NO_SCROLL)) throw conflicting('SCROLL', 'NO SCROLL');
  if (has(ASENSITIVE) && has(INSENSITIVE)) throw conflicting('ASENSITIVE', 'INSENSITIVE');
  if (query === undefined || !('SelectStmt' in query)) throw notSupported('DECLARE CURSOR for this statement');
  const lock = query.SelectStmt.lockingClause?.[0];
  if (lock !== undefined) {
    const strength = lockName('LockingClause' in lock ? lock.LockingClause.strength : undefined);
    const refuse = (what: string, detail: string): SqlError =>
      new SqlError(SqlState.featureNotSupported, `DECLARE ${what} ... ${strength} is not supported`, { detail });
    if (has(HOLD)) throw refuse('CURSOR WITH HOLD', 'Holdable cursors must be READ ONLY.');
    if (has(SCROLL)) throw refuse('SCROLL CURSOR', 'Scrollable cursors must be READ ONLY.');
    if (has(INSENSITIVE)) throw refuse('INSENSITIVE CURSOR', 'Insensitive cursors must be READ ONLY.');
  }
  return {
    kind: 'declare',
    name,
    text: statement.source ?? statement.text,
    isBinary: has(BINARY),
    isHoldable: has(HOLD),
    scroll: lock !== undefined || has(NO_SCROLL) ? false : has(SCROLL) ? true : null,
    inner: innerStatement(statement, query, 'declare'),
  };
}

function conflicting(one: string, other: string): SqlError {
  return new SqlError(SqlState.invalidCursorDefinition, `cannot specify both ${one} and ${other}`);
}

function lockName(strength: string | undefined): string {
  switch (strength) {
    case 'LCS_FORKEYSHARE':
      return 'FOR KEY SHARE';
    case 'LCS_FORSHARE':
      return 'FOR SHARE';
    case 'LCS_FORNOKEYUPDATE':
      return 'FOR NO KEY UPDATE';
    default:
      return 'FOR UPDATE';
  }
}

const DIRECTIONS = {
  FETCH_FORWARD: 'forward',
  FETCH_BACKWARD: 'backward',
  FETCH_ABSOLUTE: 'absolute',
  FETCH_RELATIVE: 'relative',
} as const;
/** How the grammar says ALL. */
const ALL = 2 ** 31 - 1;

export function planFetch({ direction, howMany, portalname, ismove }: FetchStmt): Statement {
  const given = Number(howMany ?? 0);
  const count = given >= ALL ? Infinity : given <= -ALL ? -Infinity : given;
  return {
    kind: 'fetch',
    name: portalname ?? '',
    direction: DIRECTIONS[direction ?? 'FETCH_FORWARD'],
    count,
    isMove: ismove === true,
  };
}
