/** The CHECK constraints of CREATE TABLE: their conditions and names. */
import type { Constraint, Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import type { CheckDef } from '../check-def.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { checkCondition, columnsRead } from './check.ts';

const NAME_BYTES_MAX = 63;

/** Names are chosen as PostgreSQL chooses them. @throws {SqlError} 42710, and those of the conditions */
export function checksOf(
  constraints: readonly Constraint[],
  columns: readonly ColumnDef[],
  table: string,
): { readonly checks?: readonly CheckDef[] } {
  if (constraints.length === 0) return {};
  const checks: CheckDef[] = [];
  for (const { conname: given = '', raw_expr: expression } of constraints) {
    const test = checkCondition(expression!, columns, table);
    if (given !== '' && checks.some((check) => check.name === given))
      throw new SqlError(SqlState.duplicateObject, `check constraint "${given}" already exists`);
    const name = given === '' ? chosenName(table, expression!, checks) : given;
    checks.push({ name, sql: Deparser.deparse(expression!), test });
  }
  return { checks };
}

/** One more for a table, by ALTER TABLE. @throws {SqlError} 42710, and those of the condition */
export function newCheck({ conname: given = '', raw_expr: expression }: Constraint, def: TableDef): CheckDef {
  const test = checkCondition(expression!, def.columns, def.name);
  const { checks = [] } = def;
  if (given !== '' && (given === def.keyName || checks.some((check) => check.name === given)))
    throw new SqlError(SqlState.duplicateObject, `constraint "${given}" for relation "${def.name}" already exists`);
  const name = given === '' ? chosenName(def.name, expression!, checks) : given;
  return { name, sql: Deparser.deparse(expression!), test };
}

/** `table_column_check`, or `table_check` when it reads none or several columns. */
function chosenName(table: string, expression: Node, before: readonly CheckDef[]): string {
  const read = columnsRead(expression);
  for (let pass = 0; ; pass++) {
    const name = joined(table, read.length === 1 ? read[0]! : null, `check${pass === 0 ? '' : pass}`);
    if (!before.some((check) => check.name === name)) return name;
  }
}

/** As makeObjectName does it: the longer of the two names gives way to the limit. */
function joined(first: string, second: string | null, label: string): string {
  let a = first;
  let b = second ?? '';
  const max = NAME_BYTES_MAX - Buffer.byteLength(label) - (second === null ? 1 : 2);
  while (Buffer.byteLength(a) + Buffer.byteLength(b) > max) {
    if (Buffer.byteLength(a) > Buffer.byteLength(b)) a = [...a].slice(0, -1).join('');
    else b = [...b].slice(0, -1).join('');
  }
  return second === null ? `${a}_${label}` : `${a}_${b}_${label}`;
}
