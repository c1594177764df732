/**
 * One parsed statement → what it means here. The only entry of the planner besides `parse.ts`; pure, so that a
 * statement may be planned again at any time (after DDL, with parameter types, with newer constants).
 */
import type { Node, SelectStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { tagOf } from './ast.ts';
import { writingFor } from './duckdb/styled-session.ts';
import { planAlterTable, planRename, planSetSchema } from './alter-table.ts';
import { planComment } from './comment.ts';
import { planCopy } from './copy.ts';
import { planCreateTable } from './create-table.ts';
import { planCurrentOf } from './current-of.ts';
import { planDeclare, planFetch } from './cursors.ts';
import { planCreateTableAs, planSelectInto } from './create-table-as.ts';
import { planCreateExtension } from './extensions.ts';
import { planExplain } from './explain.ts';
import { planHiddenCalls } from './hidden-calls.ts';
import { planCreateIndex, planReindex } from './indexes.ts';
import { planInsert } from './insert.ts';
import { lsnWaits } from './lsn-waits.ts';
import { planLocking } from './locking.ts';
import { planMerge } from './merge.ts';
import { planDelete, planTruncate, planUpdate } from './modify.ts';
import { hasModifyingWith, planModifyingWith } from './modifying-with.ts';
import { mayLockNested, takeNestedLocks } from './nested-locks.ts';
import { replaceOwnFunctions } from './own-functions.ts';
import type { CatalogView, ParsedStatement, Statement } from './plan.ts';
import { planExecute, planPrepare } from './prepared.ts';
import { planQuery, type PlannerEnvironment } from './query-plan.ts';
import { planColumnCalls } from './column-calls.ts';
import {
  planAlterSequence,
  planCreateSequence,
  planMoveSequence,
  planRenameSequence,
  isOfSequence,
} from './sequence.ts';
import { planRole } from './roles.ts';
import { planSet } from './settings.ts';
import { planDefineView } from './define-view.ts';
import { expandViews } from './views.ts';
import {
  planAnalyze,
  planCall,
  planCreateSchema,
  planDrop,
  planLockTable,
  planRenameSchema,
  planTransaction,
  planVacuum,
  unsupportedStatement,
} from './utility.ts';

export type { PlannerEnvironment } from './query-plan.ts';

/** @throws {SqlError} PostgreSQL's code and message; 0A000 naming what Arka does not do; positions count in the whole text */
export function planStatement(
  statement: ParsedStatement,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.node === null) return { kind: 'empty' };
  try {
    const expanded = READS.has(tagOf(statement.node as Node)) ? expandViews(statement, view) : statement;
    return writingFor(environment.timeZone, () => plan(expanded, expanded.node as Node, view, environment));
  } catch (error) {
    if (error instanceof RangeError)
      throw new SqlError(SqlState.programLimitExceeded, 'stack depth limit exceeded', { cause: error });
    throw error;
  }
}

/** Statements whose views are replaced by what they stand for. */
const READS: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'CopyStmt',
]);

function plan(statement: ParsedStatement, node: Node, view: CatalogView, environment: PlannerEnvironment): Statement {
  const { parameterCount } = statement;
  const holdsAnother = 'ExplainStmt' in node || 'PrepareStmt' in node || 'DeclareCursorStmt' in node;
  const nested = holdsAnother ? null : planNestedLocks(statement, view, environment);
  if (nested !== null) return nested;
  if (hasModifyingWith(node)) {
    const own = replaceOwnFunctions(statement, environment.constants);
    return planModifyingWith({ ...statement, ...own }, view, environment, (part, seen, parts) =>
      plan(part, part.node as Node, seen, parts),
    );
  }
  if ('SelectStmt' in node) return planSelect(statement, view, environment);
  if ('InsertStmt' in node) {
    const own = replaceOwnFunctions(statement, environment.constants).node;
    return planInsert((own as typeof node).InsertStmt, parameterCount, view, environment);
  }
  if ('UpdateStmt' in node) {
    const own = replaceOwnFunctions(statement, environment.constants);
    return planCurrentOf((own.node as typeof node).UpdateStmt, (update, isOne) =>
      planUpdate(update, own.text, parameterCount, view, environment, isOne),
    );
  }
  if ('DeleteStmt' in node) {
    const own = replaceOwnFunctions(statement, environment.constants);
    return planCurrentOf((own.node as typeof node).DeleteStmt, (deletion, isOne) =>
      planDelete(deletion, own.text, parameterCount, view, environment, isOne),
    );
  }
  if ('MergeStmt' in node) {
    const own = replaceOwnFunctions(statement, environment.constants);
    return planMerge((own.node as typeof node).MergeStmt, own.text, parameterCount, view, environment);
  }
  if ('TruncateStmt' in node) return planTruncate(node.TruncateStmt, view);
  if ('CopyStmt' in node) return planCopy(statement, node.CopyStmt, view, environment);
  if ('ExplainStmt' in node)
    return planExplain(node.ExplainStmt, (inner) =>
      planStatement({ ...statement, node: inner, text: innerText(statement.text) }, view, environment),
    );
  if ('CreateTableAsStmt' in node)
    return planCreateTableAs(node.CreateTableAsStmt, statement.text, parameterCount, view);
  if ('PrepareStmt' in node) return planPrepare(statement, node.PrepareStmt);
  if ('DeclareCursorStmt' in node) return planDeclare(statement, node.DeclareCursorStmt);
  return planUtility(node, statement.text, view);
}

/** A statement with FOR UPDATE in a subquery; null: it has none. */
function planNestedLocks(
  statement: ParsedStatement,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement | null {
  if (!mayLockNested(statement)) return null;
  const own = { ...statement, ...replaceOwnFunctions(statement, environment.constants) };
  const free = takeNestedLocks(own, view, environment);
  if (free === null) return null;
  const planned = plan({ ...own, node: free.node }, free.node, view, free.environment);
  switch (planned.kind) {
    case 'query':
      if (planned.lock !== undefined || planned.plan.calls !== undefined)
        throw notSupported('FOR UPDATE in a subquery of this statement');
      return { ...planned, locks: free.locks() };
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge':
    case 'with':
      return { ...planned, locks: free.locks() };
    default:
      throw notSupported('FOR UPDATE in a subquery of this statement');
  }
}

/** The explained statement's own text, for PostgreSQL's description of it. */
function innerText(text: string): string {
  return text
    .replace(/^(\s|--[^\n]*\n|\/\*.*?\*\/)*explain\s*(\([^)]*\)|((analyze|analyse|verbose)\b\s*)*)/is, '')
    .trimStart();
}

function planSelect(statement: ParsedStatement, view: CatalogView, environment: PlannerEnvironment): Statement {
  const { node, text } = replaceOwnFunctions(statement, environment.constants);
  const select = (node as { SelectStmt: SelectStmt }).SelectStmt;
  const { parameterCount } = statement;
  if (select.intoClause !== undefined) return planSelectInto(select, statement.text, parameterCount, view);
  if (select.lockingClause !== undefined) return planLocking(select, text, parameterCount, view, environment);
  const calls =
    planHiddenCalls(node, text, parameterCount, view, environment) ??
    planColumnCalls(node, text, parameterCount, view, environment);
  const query = calls ?? planQuery(node, text, parameterCount, view, environment);
  const waits = lsnWaits(statement.node as Node);
  return { kind: 'query', plan: waits.length === 0 ? query : { ...query, waits } };
}

function planUtility(node: Node, text: string, view: CatalogView): Statement {
  const role = planRole(node);
  if (role !== null) return role;
  const about = planDefineView(node, text, view);
  if (about !== null) return about;
  if ('CommentStmt' in node) return planComment(node.CommentStmt, text, view);
  if ('CreateStmt' in node) return planCreateTable(node.CreateStmt, view);
  if ('IndexStmt' in node) return planCreateIndex(node.IndexStmt, view);
  if ('ReindexStmt' in node) return planReindex(node.ReindexStmt);
  if ('CreateSeqStmt' in node) return planCreateSequence(node.CreateSeqStmt, view);
  if ('AlterSeqStmt' in node) return planAlterSequence(node.AlterSeqStmt);
  if ('RenameStmt' in node && isOfSequence(node.RenameStmt, view)) return planRenameSequence(node.RenameStmt);
  if ('RenameStmt' in node && node.RenameStmt.renameType === 'OBJECT_SCHEMA') return planRenameSchema(node.RenameStmt);
  if ('AlterTableStmt' in node) return planAlterTable(node.AlterTableStmt, view);
  if ('RenameStmt' in node) return planRename(node.RenameStmt);
  if ('AlterObjectSchemaStmt' in node && node.AlterObjectSchemaStmt.objectType === 'OBJECT_SEQUENCE')
    return planMoveSequence(node.AlterObjectSchemaStmt);
  if ('AlterObjectSchemaStmt' in node) return planSetSchema(node.AlterObjectSchemaStmt);
  if ('DropStmt' in node) return planDrop(node.DropStmt);
  if ('CreateSchemaStmt' in node) return planCreateSchema(node.CreateSchemaStmt);
  if ('TransactionStmt' in node) return planTransaction(node.TransactionStmt);
  if ('VariableSetStmt' in node) return planSet(node.VariableSetStmt);
  if ('VariableShowStmt' in node) return { kind: 'show', name: (node.VariableShowStmt.name ?? '').toLowerCase() };
  if ('DiscardStmt' in node) return { kind: 'discard', what: DISCARDS[node.DiscardStmt.target ?? ''] ?? 'all' };
  if ('DeallocateStmt' in node) {
    const { isall, name } = node.DeallocateStmt;
    return { kind: 'deallocate', name: isall === true ? null : (name ?? null) };
  }
  if ('ListenStmt' in node) return { kind: 'listen', channel: node.ListenStmt.conditionname ?? '' };
  if ('UnlistenStmt' in node) return { kind: 'unlisten', channel: node.UnlistenStmt.conditionname ?? null };
  if ('NotifyStmt' in node) {
    const { conditionname = '', payload = '' } = node.NotifyStmt;
    return { kind: 'notify', channel: conditionname, payload };
  }
  if ('CreateExtensionStmt' in node) return planCreateExtension(node.CreateExtensionStmt);
  if ('ConstraintsSetStmt' in node) return { kind: 'accepted', tag: 'SET CONSTRAINTS' };
  if ('ExecuteStmt' in node) return planExecute(node.ExecuteStmt);
  if ('FetchStmt' in node) return planFetch(node.FetchStmt);
  if ('ClosePortalStmt' in node) return { kind: 'closeCursor', name: node.ClosePortalStmt.portalname ?? null };
  if ('LockStmt' in node) return planLockTable(node.LockStmt, view);
  if ('CheckPointStmt' in node) return { kind: 'checkpoint' };
  if ('CallStmt' in node) return planCall(node.CallStmt, view);
  if ('VacuumStmt' in node)
    return node.VacuumStmt.is_vacuumcmd === true
      ? planVacuum(node.VacuumStmt, view)
      : planAnalyze(node.VacuumStmt, view);
  throw unsupportedStatement(node);
}

const DISCARDS: Readonly<Record<string, 'all' | 'plans' | 'sequences' | 'temp'>> = {
  DISCARD_ALL: 'all',
  DISCARD_PLANS: 'plans',
  DISCARD_SEQUENCES: 'sequences',
  DISCARD_TEMP: 'temp',
};
