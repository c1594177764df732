/**
 * Known differences from PostgreSQL: each is a row of the table "what remains different" in README.md, by its first cell.
 *
 * After one that leaves both with the same rows the sequence goes on; after another it ends without a verdict.
 */
import type { Outcome } from '../differential/wire.ts';
import type { Sequence } from './sequence.ts';
import type { Statement } from './statements.ts';

export interface KnownDifference {
  readonly title: string;
  readonly goesOn: boolean;
  readonly applies: (seen: Seen) => boolean;
}
/** What the two said to a statement; null: it waits. */
export interface Seen {
  readonly statement: Statement;
  readonly ours: Outcome | null;
  readonly theirs: Outcome | null;
  readonly sequence: Sequence;
}

const codeOf = (outcome: Outcome | null): string => outcome?.error?.['code'] ?? '';
/** An error of a value, of a constraint, or of a conflict's target. */
const isOfRow = (outcome: Outcome | null): boolean => /^(21000|22...|23...|42P10)$/.test(codeOf(outcome));
/** Arka alone finds that a row was changed since the snapshot. */
const isStale = (ours: Outcome | null, theirs: Outcome | null): boolean =>
  codeOf(ours) === '40001' && theirs !== null && theirs.error === null;
const isOneRow = ({ kind, sql }: Statement): boolean => kind === 'INSERT VALUES' && !sql.includes('), (');

export const DIFFERENCES: readonly KnownDifference[] = [
  {
    title: 'one statement with several errors',
    goesOn: true,
    applies: ({ statement, ours, theirs }) =>
      isOfRow(theirs) && (codeOf(ours) === '428C9' || (isOfRow(ours) && !isOneRow(statement))),
  },
  {
    title: 'an expression of constants that fails (`1 / 0`), and no row for which it would be computed',
    goesOn: false,
    applies: ({ statement, ours, theirs }) =>
      statement.sql.includes('1 / 0') && codeOf(theirs) === '22012' && codeOf(ours) === '',
  },
  {
    title: 'a subquery that gives several rows, and no row for which it would be computed',
    goesOn: false,
    applies: ({ ours, theirs }) => codeOf(ours) === '21000' && theirs !== null && theirs.error === null,
  },
  {
    title: 'REPEATABLE READ: upsert, or DO NOTHING, where the row has moved since the snapshot',
    goesOn: false,
    applies: ({ statement, ours, theirs }) => isStale(ours, theirs) && statement.sql.includes('ON CONFLICT'),
  },
  {
    title: 'REPEATABLE READ: writing a row that has moved since the snapshot, table without a key',
    goesOn: false,
    applies: ({ statement, ours, theirs, sequence }) =>
      isStale(ours, theirs) &&
      sequence.tables.some(({ name, key }) => key.length === 0 && statement.changes.includes(name)),
  },
  {
    title: 'a statement that must wait for one row and fails at another',
    goesOn: false,
    applies: ({ ours, theirs }) => isOfRow(ours) && theirs === null,
  },
];

export const knownDifference = (seen: Seen): KnownDifference | undefined =>
  DIFFERENCES.find(({ applies }) => applies(seen));
