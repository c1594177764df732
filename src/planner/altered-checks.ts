/** CHECK constraints of a table whose columns have changed: with new names and types, and without those whose column is gone. */
import type { Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import type { CheckDef } from '../check-def.ts';
import type { TableDef } from '../table-def.ts';
import { stringNode, stringOf, walk } from './ast.ts';
import { checkCondition, columnsRead } from './check.ts';
import { parseSql } from './parse.ts';

/** `after` has the constraints of `before`, but for what was said of themselves. @throws {SqlError} those of conditions */
export function alteredChecks(before: TableDef, after: TableDef): { readonly checks?: readonly CheckDef[] } {
  if (after.checks === undefined) return {};
  return { checks: after.checks.flatMap((check) => altered(check, before, after)) };
}

/** Whether a condition, as its constraint keeps it, reads a column. */
export function checkReads(sql: string, column: string): boolean {
  return columnsRead(expressionOf(sql)).includes(column);
}

function altered(check: CheckDef, before: TableDef, after: TableDef): readonly CheckDef[] {
  const expression = expressionOf(check.sql);
  const names = new Map<string, string>();
  let isSame = true;
  for (const name of columnsRead(expression)) {
    const old = before.columns.find((column) => column.name === name);
    const now = after.columns.find((column) => column.fieldId === old?.fieldId);
    if (old === undefined || now === undefined) return [];
    names.set(name, now.name);
    if (now.name !== name || now.type.oid !== old.type.oid || now.type.typmod !== old.type.typmod) isSame = false;
  }
  if (isSame) return [check];
  rename(expression, names);
  const test = checkCondition(expression, after.columns, after.name);
  return [{ name: check.name, sql: Deparser.deparse(expression), test }];
}

/** The tree of an expression that a definition keeps; the caller may change it. */
export function expressionOf(sql: string): Node {
  const [statement] = parseSql(`SELECT ${sql}`);
  const { targetList = [] } = (statement!.node as { SelectStmt: SelectStmt }).SelectStmt;
  const [target] = targetList;
  return structuredClone(target as { ResTarget: { val: Node } }).ResTarget.val;
}

/** An expression of `before` with the names that its columns have in `after`; null: they are the same, or one is gone. */
export function renamedColumns(sql: string, before: TableDef, after: TableDef): string | null {
  const expression = expressionOf(sql);
  const names = new Map<string, string>();
  for (const name of columnsRead(expression)) {
    const old = before.columns.find((column) => column.name === name);
    const now = after.columns.find((column) => column.fieldId === old?.fieldId);
    if (now === undefined) return null;
    names.set(name, now.name);
  }
  if ([...names].every(([from, to]) => from === to)) return null;
  rename(expression, names);
  return Deparser.deparse(expression);
}

/** In place. */
function rename(expression: Node, names: ReadonlyMap<string, string>): void {
  walk([expression], (tag, body) => {
    if (tag !== 'ColumnRef') return;
    const fields = body['fields'] as Node[];
    body['fields'] = [stringNode(names.get(stringOf(fields.at(-1)))!)];
  });
}
