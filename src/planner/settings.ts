/** SET, RESET, SHOW and the isolation level, wherever it is said. Names and values only: what they do is the session's. */
import type { Node, VariableSetStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { constantKind, constantText, plainName } from './ast.ts';
import type { Statement } from './plan.ts';

export function planSet(statement: VariableSetStmt): Statement {
  const name = (statement.name ?? '').toLowerCase();
  const local = statement.is_local === true;
  switch (statement.kind) {
    case 'VAR_RESET_ALL':
      return { kind: 'resetAll' };
    case 'VAR_RESET':
      return { kind: 'set', name, value: null, local, isReset: true };
    case 'VAR_SET_DEFAULT':
      return { kind: 'set', name, value: null, local };
    case 'VAR_SET_CURRENT':
      throw notSupported('SET … FROM CURRENT');
    case 'VAR_SET_MULTI':
      return planSetTransaction(statement);
    default:
      return setValue(name, statement.args ?? [], local);
  }
}

function setValue(name: string, args: readonly Node[], local: boolean): Statement {
  return { kind: 'set', name, value: settingValue(name, args), local };
}

/** A list is joined with commas; names of schemas are quoted where they need it, as PostgreSQL stores them. */
function settingValue(name: string, args: readonly Node[]): string {
  const parts = args.map((arg) => {
    const text = argumentText(arg);
    return name === 'search_path' && constantKind(arg) === 'string' ? quoteIfNeeded(text) : text;
  });
  return parts.join(', ');
}

function argumentText(arg: Node): string {
  const text = constantText(arg);
  if (text !== null) return text;
  // SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE
  if ('TypeCast' in arg && arg.TypeCast.arg !== undefined && plainName(arg.TypeCast.typeName?.names) === 'interval')
    return constantText(arg.TypeCast.arg) ?? '';
  throw notSupported('this value of SET');
}

function quoteIfNeeded(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function planSetTransaction(statement: VariableSetStmt): Statement {
  if (statement.name === 'TRANSACTION SNAPSHOT') throw notSupported('SET TRANSACTION SNAPSHOT');
  const session = statement.name === 'SESSION CHARACTERISTICS';
  return { kind: 'setTransaction', modes: transactionModes(statement.args ?? []), session };
}

const LEVELS = ['serializable', 'repeatable read', 'read committed', 'read uncommitted'] as const;
export type IsolationLevel = (typeof LEVELS)[number];

/** What BEGIN and SET TRANSACTION may say of a transaction. */
export interface TransactionModes {
  readonly isolation?: IsolationLevel;
  readonly readOnly?: boolean;
  readonly deferrable?: boolean;
}

export function transactionModes(options: readonly Node[]): TransactionModes {
  const modes: { isolation?: IsolationLevel; readOnly?: boolean; deferrable?: boolean } = {};
  for (const option of options) {
    if (!('DefElem' in option)) continue;
    const { defname, arg } = option.DefElem;
    const text = arg === undefined ? '' : (constantText(arg) ?? '');
    if (defname === 'transaction_isolation') modes.isolation = isolationLevel('transaction_isolation', text);
    if (defname === 'transaction_read_only') modes.readOnly = text === '1' || text === 'true';
    if (defname === 'transaction_deferrable') modes.deferrable = text === '1' || text === 'true';
  }
  return modes;
}

export function isolationOf(text: string): IsolationLevel | undefined {
  const known = text.toLowerCase();
  return LEVELS.find((level) => level === known);
}

/** @throws {SqlError} 22023 */
export function isolationLevel(setting: string, text: string): IsolationLevel {
  const level = isolationOf(text);
  if (level !== undefined) return level;
  throw new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "${setting}": "${text}"`, {
    hint: `Available values: ${LEVELS.join(', ')}.`,
  });
}
