/** SET, RESET, SHOW and the isolation level, wherever it is said. Names and values only: what they do is the session's. */
import type { Node, VariableSetStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { constantKind, constantText, plainName } from './ast.ts';
import type { Statement } from './plan.ts';

/** @throws {SqlError} 0A000 for isolation above read committed */
export function planSet(statement: VariableSetStmt): Statement {
  const name = (statement.name ?? '').toLowerCase();
  const local = statement.is_local === true;
  switch (statement.kind) {
    case 'VAR_RESET_ALL':
      return { kind: 'resetAll' };
    case 'VAR_RESET':
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
  const value = settingValue(name, args);
  if (name === 'transaction_isolation' || name === 'default_transaction_isolation') checkIsolation(value);
  return { kind: 'set', name, value, local };
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
  checkTransactionOptions(statement.args ?? []);
  return { kind: 'accepted', tag: 'SET' };
}

/** Read committed is what every transaction has; read only and deferrable promise less than that. */
export function checkTransactionOptions(options: readonly Node[]): void {
  for (const option of options) {
    if (!('DefElem' in option) || option.DefElem.defname !== 'transaction_isolation') continue;
    checkIsolation(option.DefElem.arg === undefined ? '' : (constantText(option.DefElem.arg) ?? ''));
  }
}

export function checkIsolation(level: string): void {
  const known = level.toLowerCase();
  if (known === 'read committed' || known === 'read uncommitted') return;
  if (known === 'repeatable read' || known === 'serializable')
    throw notSupported(`isolation level ${known.toUpperCase()}`);
  throw new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "transaction_isolation": "${level}"`);
}
