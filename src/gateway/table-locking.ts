/** LOCK TABLE, and TRUNCATE, which has its tables alone and may begin the numbers of their columns anew. */
import type { Database } from '../ingest/database.ts';
import { ownedBy } from '../ingest/relations.ts';
import { LockMode } from '../ingest/table-locks.ts';
import type { Statement } from '../planner/plan.ts';
import type { TableDef } from '../table-def.ts';
import { liveTable } from './cursor.ts';
import { drawnSequences } from './drawn-sequences.ts';
import type { Interruption } from './interruption.ts';
import type { SessionSequences } from './sequences.ts';
import { tablesOf, tablesOfLocks, writtenTables } from './tables.ts';
import { outsideBlock, type SessionTransaction } from './transaction.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

interface Locking {
  readonly context: { readonly database: Database };
  readonly transaction: SessionTransaction;
  readonly interruption: Interruption;
  readonly sequences: SessionSequences;
  readonly several: boolean;
}

function lock(
  { context, transaction, interruption }: Locking,
  { uuid, name }: TableDef,
  mode: number,
  nowait: boolean,
): Promise<void> {
  return context.database.locks.lock(transaction.hold, uuid, mode, interruption, nowait ? name : null);
}

/** @throws {SqlError} 25P01 outside a block; 55P03, 40P01, 57014; 42P01 where a table is gone after the wait */
export async function lockTables(locking: Locking, { defs, mode, nowait }: Of<'lockTable'>): Promise<string> {
  if (!locking.transaction.inBlock && !locking.several) throw outsideBlock('LOCK TABLE');
  for (const def of defs) {
    await locking.interruption.guarded(() => lock(locking, def, mode, nowait));
    liveTable(locking.context.database, def);
  }
  return 'LOCK TABLE';
}

/** Holds a statement's tables; not null: they were waited for, and it was planned anew. */
export function holdTables(
  locking: Locking & { held(plan: () => Statement): MaybePromise<Statement> },
  plan: () => Statement,
  statement: Statement,
): Promise<Statement> | null {
  const { context, transaction, interruption, sequences } = locking;
  if (statement.kind === 'truncate') return interruption.guarded(() => heldAlone(locking, plan, statement));
  const { hold } = transaction;
  const { locks } = context.database;
  const wait =
    locks.share(hold, writtenTables(statement), interruption, LockMode.rowExclusive) ??
    locks.share(hold, tablesOfLocks(statement), interruption, LockMode.rowShare) ??
    locks.share(hold, tablesOf(statement), interruption) ??
    // whoever has altered a sequence holds it alone
    (locks.busy ? sequences.released(drawnSequences(statement), interruption) : null);
  return wait === null ? null : interruption.guarded(() => wait).then(() => locking.held(plan));
}

/** The plan of a TRUNCATE at whose tables nobody else is until its transaction ends. */
async function heldAlone(locking: Locking, plan: () => Statement, statement: Of<'truncate'>): Promise<Statement> {
  for (const def of statement.defs) await lock(locking, def, LockMode.accessExclusive, false);
  const again = plan(); // a definition may have changed during the wait
  if (again.kind !== 'truncate') return again;
  const isHeld = ({ uuid }: TableDef): boolean => statement.defs.some((def) => def.uuid === uuid);
  return again.defs.every(isHeld) ? again : heldAlone(locking, plan, again);
}

/** After a TRUNCATE: the sequences of its tables' columns begin anew, in the transaction. */
export async function restartIdentities(
  { transaction, interruption }: Locking,
  { defs, restarts }: Of<'truncate'>,
  tag: string,
): Promise<string> {
  if (!restarts) return tag;
  const changes = transaction.defining();
  const sequences = defs.flatMap(({ uuid }) => ownedBy(changes, uuid));
  await interruption.guarded(async () => {
    for (const sequence of sequences) await changes.restartSequence(sequence, interruption);
  });
  return tag;
}
