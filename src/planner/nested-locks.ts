/**
 * FOR UPDATE inside a statement, in WITH, IN (…) or FROM, as job queues use it: `UPDATE … WHERE id IN (SELECT … FOR UPDATE SKIP LOCKED)`.
 * The subquery's rows are found and locked first, then stand for its table while the statement runs.
 */
import type { Node, RangeVar, SelectStmt } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { rowLock, type RowLock } from './locking.ts';
import type { CatalogView, ParsedStatement } from './plan.ts';
import type { PlannerEnvironment } from './query-plan.ts';
import { onlyTable } from './relations.ts';
import { findTable } from './schema-names.ts';

/** A statement is walked only when its text may have one; a comment between the words leaves it to be refused. */
const LOCKS = /\bfor\s+(no\s+key\s+update|update|share|key\s+share)\b/i;

/** Cheap: asked of every statement. */
export function mayLockNested({ text }: ParsedStatement): boolean {
  return LOCKS.test(text);
}

interface Found {
  readonly select: SelectStmt;
  /** A RangeVar of its own, by which its scan is known. */
  readonly relation: RangeVar;
}

export interface WithoutLocks {
  readonly node: Node;
  /** To plan the node with. */
  readonly environment: PlannerEnvironment;
  /** After that. @throws {SqlError} 0A000 */
  readonly locks: () => readonly RowLock[];
}

/** Null: no subquery locks rows of an Arka table. */
export function takeNestedLocks(
  { node, text, parameterCount }: ParsedStatement,
  view: CatalogView,
  environment: PlannerEnvironment,
): WithoutLocks | null {
  const found: Found[] = [];
  const stripped = strip(node, true, view, found) as Node;
  if (found.length === 0) return null;
  const placed = new Map<object, string>();
  // Parts of a WITH may read the same rows: they are locked once.
  const placeholder = (relation?: object): string => {
    const name = (relation === undefined ? undefined : placed.get(relation)) ?? environment.placeholder(relation);
    if (relation !== undefined) placed.set(relation, name);
    return name;
  };
  const locks = (): readonly RowLock[] =>
    found.map(({ select, relation }) => {
      const lock = rowLock(select, text, parameterCount, view, environment);
      const place = placed.get(relation);
      if (place === undefined) throw notSupported(`SELECT … FOR ${lock.strength} in this place`);
      return { ...lock, placeholder: place };
    });
  return { node: stripped, environment: { ...environment, placeholder }, locks };
}

/** The same object where nothing below it changes, so that RangeVars keep their identity. */
function strip(value: unknown, isTop: boolean, view: CatalogView, found: Found[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => strip(item, false, view, found));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const record = value as Record<string, unknown>;
  const select = isTop ? undefined : (record['SelectStmt'] as SelectStmt | undefined);
  const table = select?.lockingClause === undefined ? undefined : onlyTable(select);
  if (select !== undefined && table !== undefined && findTable(table, view) !== undefined) {
    const { lockingClause: _, ...free } = select;
    const relation = { ...table };
    found.push({ select, relation });
    return { SelectStmt: { ...free, fromClause: [{ RangeVar: relation }] } };
  }
  let copy: Record<string, unknown> | null = null;
  for (const key in record) {
    const child = strip(record[key], false, view, found);
    if (child !== record[key]) (copy ??= { ...record })[key] = child;
  }
  return copy ?? value;
}
