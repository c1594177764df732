/**
 * A Query message that is one INSERT … VALUES of literals: from its bytes to rows, several times as fast as by way of
 * the grammar. The grammar keeps the last word: whatever is not plain, and every error of a value, takes its way.
 */
import { isUtf8 } from 'node:buffer';
import { insertRowsBy } from './write.ts';
import type { WriteEnvironment } from './write-environment.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import { headTarget, type InsertHead } from '../planner/insert-head.ts';
import { InsertRows } from '../planner/insert-rows.ts';
import { conflictTail, rowsEnd } from '../planner/insert-tail.ts';
import type { CatalogView, Conflict, Statement } from '../planner/plan.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { FieldBlock } from '../types/field-block.ts';
import type { TimeContext } from '../types/text-input.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';

/** Bytes of rows looked at together: see `copy-blocks.ts`. A longer row is the grammar's. */
const WINDOW_BYTES = 60 * 1024;
/** Unescaped strings and texts of DEFAULT lie behind the window. */
const BUFFER_BYTES = WINDOW_BYTES * 2 + 4096;

/** One for all sessions: a statement is read without a wait. */
const buffer = new Uint8Array(BUFFER_BYTES);
const blocks = new Map<number, FieldBlock>();

function blockOf(columns: number): FieldBlock {
  let block = blocks.get(columns);
  if (block === undefined) {
    block = new FieldBlock(columns);
    block.over(buffer);
    block.isText = true;
    blocks.set(columns, block);
  }
  return block;
}

/** A head's columns in a table as it is defined now, and the writers of those who used it. */
class Target {
  readonly def: TableDef;
  readonly rows: InsertRows;
  readonly block: FieldBlock;
  readonly #columns: readonly ColumnDef[];
  #writers = new WeakMap<TimeContext, RowWriter>();
  #width = 0;

  constructor(def: TableDef, columns: readonly ColumnDef[]) {
    this.def = def;
    this.#columns = columns;
    this.rows = new InsertRows(columns);
    this.block = blockOf(columns.length);
  }

  /** Whether rows of so many values fit: with a list of columns all of them, without one the first of them. */
  takes(width: number, head: InsertHead): boolean {
    return head.columns === null ? width <= this.#columns.length : width === this.#columns.length;
  }

  writer(width: number, rows: RowBuffer, time: TimeContext): RowWriter {
    if (width !== this.#width) this.#writers = new WeakMap();
    this.#width = width;
    let writer = this.#writers.get(time);
    if (writer === undefined) {
      const fieldIds = this.#columns.slice(0, width).map((column) => column.fieldId);
      writer = new RowWriter(this.def, fieldIds, rows, time);
      this.#writers.set(time, writer);
    } else writer.writeTo(rows);
    return writer;
  }
}

const targets = new WeakMap<InsertHead, Target>();

function targetOf(head: InsertHead, view: CatalogView): Target | null {
  const found = headTarget(head, view);
  if (found === null) return null;
  const known = targets.get(head);
  if (known !== undefined && known.def === found.def) return known;
  const target = new Target(found.def, found.columns);
  targets.set(head, target);
  return target;
}

/**
 * @param sql the statement; its head ends at `at`
 * @param plan of a text with the same head and tail; null: it is more than one statement
 * @param permitted false: the grammar's way says what is missing
 * @param environment begins the transaction where there is none
 * @returns null: this is for the grammar, and nothing was written
 * @throws {SqlError} what does not depend on the way: 23505, 53200
 */
export function insertText(
  head: InsertHead,
  sql: Uint8Array,
  at: number,
  view: CatalogView,
  plan: (text: string) => Statement | null,
  environment: () => WriteEnvironment,
  permitted: (def: TableDef, conflict: boolean) => boolean,
): MaybePromise<string> | null {
  const target = targetOf(head, view);
  if (target === null || !isUtf8(sql)) return null;
  const end = rowsEnd(sql, at);
  let conflict: Conflict | null = null;
  if (end < sql.length) {
    const text = Buffer.from(sql.buffer, sql.byteOffset, sql.length);
    conflict = conflictTail(head, target.def, text.toString('utf8', 0, at), text.toString('utf8', end), plan);
    if (conflict === null) return null;
  }
  if (!permitted(target.def, conflict !== null)) return null;
  const given = environment();
  const rows = sql.subarray(0, end);
  return insertRowsBy(given, target.def, conflict, (to) => putText(head, target, rows, at, to, given.time));
}

/** False: something is not plain. */
function putText(
  head: InsertHead,
  target: Target,
  sql: Uint8Array,
  from: number,
  rows: RowBuffer,
  time: TimeContext,
): boolean {
  const { block, rows: scanner } = target;
  scanner.begin();
  let read = from;
  let filled = 0;
  for (;;) {
    const stop = Math.min(sql.length, read + WINDOW_BYTES - filled);
    buffer.set(sql.subarray(read, stop), filled);
    filled += stop - read;
    read = stop;
    let at = 0;
    do {
      block.clear();
      at = scanner.scan(block, at, filled, read === sql.length);
      if (scanner.outcome === 'odd') return false;
      if (block.rows > 0) {
        if (!target.takes(scanner.width, head) || !target.writer(scanner.width, rows, time).block(block)) return false;
        if (scanner.outcome === 'end') return true;
      }
    } while (block.rows === block.capacity);
    if (at === 0 && filled === WINDOW_BYTES) return false;
    buffer.copyWithin(0, at, filled);
    filled -= at;
  }
}
