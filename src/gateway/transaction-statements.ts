/** Statements about transactions as a session carries them out: which ones do nothing in one, what 25006 calls the others, SET. */
import { isolationLevel, type TransactionModes } from '../planner/settings.ts';
import type { QueryPlan, Statement } from '../planner/plan.ts';
import { isTemporarySchema, type TableDef } from '../table-def.ts';
import type { SessionNames } from './session-names.ts';
import type { SessionAccess } from './session-access.ts';
import type { SessionSequences } from './sequences.ts';
import type { SessionSettings } from './settings.ts';
import { settingBoolean } from './setting-values.ts';
import type { SessionTransaction } from './transaction.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';

const ABOUT_TRANSACTIONS: ReadonlySet<Statement['kind']> = new Set([
  'accepted',
  'begin',
  'call',
  'checkpoint',
  'closeCursor',
  'commit',
  'deallocate',
  'discard',
  'empty',
  'execute',
  'listen',
  'lockTable',
  'notify',
  'prepare',
  'unlisten',
  'release',
  'resetAll',
  'rollback',
  'rollbackTo',
  'savepoint',
  'set',
  'setTransaction',
  'show',
  'vacuum',
]);

/** It neither reads nor writes rows for a client: it needs no snapshot, and a transaction's kind may be set after it. */
export function inTransaction({ kind }: Statement): boolean {
  return ABOUT_TRANSACTIONS.has(kind);
}

/** What a read-only transaction calls the statement that it refuses; null: it takes it. */
export function verbOf(statement: Statement): string | null {
  switch (statement.kind) {
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge':
      return isTemporary(statement) ? null : statement.kind.toUpperCase();
    case 'query': {
      const lock = [statement.lock, ...(statement.locks ?? [])].find(
        (each) => each !== undefined && !isTemporary(each),
      );
      return lock === undefined ? sequenceVerb(statement.plan) : `SELECT FOR ${lock.strength}`;
    }
    case 'with': {
      const parts = [...statement.before, ...statement.after].map((part) => part.statement);
      if ([...parts, statement.main].every((part) => verbOf(part) === null)) return null;
      return statement.main.kind === 'query' ? 'SELECT' : statement.main.kind.toUpperCase();
    }
    case 'truncate':
      return 'TRUNCATE TABLE';
    case 'copyFrom':
      return isTemporary(statement) ? null : 'COPY FROM';
    case 'alterTable':
    case 'renameTable':
      return 'ALTER TABLE';
    case 'defineView':
      return statement.tag;
    case 'comment':
    case 'commentOnIndex':
    case 'commentOnShared':
      return 'COMMENT';
    case 'createTable':
    case 'createTableAs':
    case 'createSequence':
    case 'createIndex':
    case 'createSchema':
    case 'alterSequence':
    case 'dropTable':
    case 'dropSequence':
    case 'dropIndex':
    case 'dropSchema':
      return statement.kind.replaceAll(/[A-Z]/g, (letter) => ` ${letter}`).toUpperCase();
    case 'renameIndex':
      return 'ALTER INDEX';
    case 'renameSequence':
      return statement.tag;
    case 'renameSchema':
      return 'ALTER SCHEMA';
    case 'createRole':
    case 'alterRole':
    case 'dropRole':
      return `${statement.kind.slice(0, -4).toUpperCase()} ROLE`;
    case 'renameRole':
      return 'ALTER ROLE';
    case 'grantRole':
      return statement.isGrant ? 'GRANT ROLE' : 'REVOKE ROLE';
    case 'grant':
      return statement.isGrant ? 'GRANT' : 'REVOKE';
    case 'roleSetting':
      return statement.tag;
    case 'defaultRights':
      return 'ALTER DEFAULT PRIVILEGES';
    case 'reassignOwned':
      return 'REASSIGN OWNED';
    case 'dropOwned':
      return 'DROP OWNED';
    case 'owner':
      return `ALTER ${statement.object.toUpperCase()}`;
    default:
      return null;
  }
}

/** Rows of temporary tables are the session's own: a read-only transaction writes them. */
const isTemporary = ({ def }: { readonly def: TableDef }): boolean => isTemporarySchema(def.schema);

/** The function that moves a sequence on, if it calls one. */
function sequenceVerb({ calls, hidden }: QueryPlan): string | null {
  const moves = calls?.columns.find(
    (each) => (each.kind === 'nextval' || each.kind === 'setval') && !each.isTemporary,
  )?.kind;
  if (moves !== undefined) return `${moves}()`;
  return hidden?.calls.some(({ kind }) => kind === 'nextval') === true ? 'nextval()' : null;
}

/** Carries out what begins, ends and divides transactions, and settings, which share their fate; the tag. */
export function control(
  transaction: SessionTransaction,
  settings: SessionSettings,
  access: SessionAccess,
  statement: Extract<
    Statement,
    {
      kind: 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'rollbackTo' | 'setTransaction' | 'set';
    }
  >,
  warnOutsideBlock: (what: string) => void,
): MaybePromise<string> {
  switch (statement.kind) {
    case 'begin':
      transaction.begin(statement.modes);
      return statement.tag;
    case 'commit':
      return transaction.commit(statement.chain);
    case 'rollback':
      return transaction.rollbackBlock(statement.chain);
    case 'savepoint':
      transaction.savepoint(statement.name);
      return 'SAVEPOINT';
    case 'release':
      transaction.release(statement.name);
      return 'RELEASE';
    case 'rollbackTo':
      transaction.rollbackTo(statement.name);
      return 'ROLLBACK';
    default:
      return setModes(transaction, settings, access, statement, warnOutsideBlock);
  }
}

/** DISCARD, but for temporary tables; the tag. Plans are made anew where they have to be. @throws {SqlError} 25001 */
export function forget(
  { what }: Extract<Statement, { kind: 'discard' }>,
  transaction: SessionTransaction,
  names: SessionNames,
  sequences: SessionSequences,
  settings: SessionSettings,
): string {
  if (what === 'all') {
    names.portals.closeAll();
    settings.resetAll();
    settings.become('session_authorization', null, false);
    settings.become('role', null, false);
    names.statements.clear();
    transaction.advisory.unlockAll();
    transaction.listener.unlisten(null);
  }
  if (what === 'all' || what === 'sequences') sequences.discard();
  return `DISCARD ${what.toUpperCase()}`;
}

/** SET, set_config(), SET TRANSACTION and SET SESSION CHARACTERISTICS; the tag. */
export function setModes(
  transaction: SessionTransaction,
  settings: SessionSettings,
  access: SessionAccess,
  statement: Extract<Statement, { kind: 'set' | 'setTransaction' }>,
  warnOutsideBlock: (what: string) => void,
): string {
  if (statement.kind === 'setTransaction') {
    const { modes, session } = statement;
    if (!session) {
      warnOutsideBlock('SET TRANSACTION');
      transaction.setModes(modes);
    } else setDefaults(transaction, settings, modes);
    return 'SET';
  }
  const { value, local } = statement;
  const name = statement.name.toLowerCase();
  if (local) warnOutsideBlock('SET LOCAL');
  const mode = value === null ? null : modeOf(name, value);
  if (mode !== null) transaction.setModes(mode);
  else if (name === 'default_transaction_isolation' && value !== null)
    settings.set(name, transaction.carriedOut(isolationLevel(name, value)), local);
  else if (name === 'role' || name === 'session_authorization') becomes(access, settings, name, value, local);
  else settings.set(name, value, local);
  return statement.isReset === true ? 'RESET' : 'SET';
}

/** SET ROLE and SET SESSION AUTHORIZATION: the latter ends the former. @throws {SqlError} 22023, 42501 */
function becomes(
  access: SessionAccess,
  settings: SessionSettings,
  name: 'role' | 'session_authorization',
  value: string | null,
  local: boolean,
): void {
  const none = value === null || (name === 'role' && value.toLowerCase() === 'none');
  if (!none) access.refuse(name, value);
  settings.become(name, none ? null : value, local);
  if (name === 'session_authorization') settings.become('role', null, local);
}

function setDefaults(
  transaction: SessionTransaction,
  settings: SessionSettings,
  { isolation, readOnly, deferrable }: TransactionModes,
): void {
  if (isolation !== undefined) settings.set('default_transaction_isolation', transaction.carriedOut(isolation), false);
  if (readOnly !== undefined) settings.set('default_transaction_read_only', readOnly ? 'on' : 'off', false);
  if (deferrable !== undefined) settings.set('default_transaction_deferrable', deferrable ? 'on' : 'off', false);
}

function modeOf(name: string, value: string): TransactionModes | null {
  switch (name.toLowerCase()) {
    case 'transaction_isolation':
      return { isolation: isolationLevel(name, value) };
    case 'transaction_read_only':
      return { readOnly: settingBoolean(name, value) };
    case 'transaction_deferrable':
      return { deferrable: settingBoolean(name, value) };
    default:
      return null;
  }
}
