/** CHECK constraints of a table whose columns have changed: with new names and types, and without those whose column is gone. */
import type { Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import type { CheckDef } from '../check-def.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
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
  const read = columnsAfter(expression, before, after);
  if (read === null) return [];
  const isSame = read.every(
    ({ old, now }) => now.name === old.name && now.type.oid === old.type.oid && now.type.typmod === old.type.typmod,
  );
  if (isSame) return [check];
  rename(expression, read);
  const test = checkCondition(expression, after.columns, after.name);
  return [{ name: check.name, sql: Deparser.deparse(expression), test }];
}

/** A column that an expression reads, as it was and is. */
interface ReadColumn {
  readonly old: ColumnDef;
  readonly now: ColumnDef;
}

/** Null: one is gone. */
function columnsAfter(expression: Node, before: TableDef, after: TableDef): readonly ReadColumn[] | null {
  const read: ReadColumn[] = [];
  for (const name of columnsRead(expression)) {
    const old = before.columns.find((column) => column.name === name);
    const now = after.columns.find((column) => column.fieldId === old?.fieldId);
    if (old === undefined || now === undefined) return null;
    read.push({ old, now });
  }
  return read;
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
  const read = columnsAfter(expression, before, after);
  if (read === null || read.every(({ old, now }) => old.name === now.name)) return null;
  rename(expression, read);
  return Deparser.deparse(expression);
}

/** In place. */
function rename(expression: Node, read: readonly ReadColumn[]): void {
  const names = new Map(read.map(({ old, now }) => [old.name, now.name]));
  walk([expression], (tag, body) => {
    if (tag !== 'ColumnRef') return;
    const fields = body['fields'] as Node[];
    body['fields'] = [stringNode(names.get(stringOf(fields.at(-1)))!)];
  });
}
