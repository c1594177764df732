/**
 * `ON CONFLICT …` behind the rows of an INSERT that is read from its bytes: planned once for each head and text of it, with NULLs
 * for rows. Only what main carries out by itself is taken; the rest, and every error, is the grammar's.
 */
import { SqlError } from '../errors.ts';
import type { TableDef } from '../table-def.ts';
import type { InsertHead } from './insert-head.ts';
import type { Conflict, Statement } from './plan.ts';

const TAIL_BYTES_MAX = 4096;
const TAILS_MAX = 64;
const TAIL = /\)\s*on\s+conflict\b/i;

/**
 * Where the rows end whose values begin at `from`. Text inside a literal may look like a tail: then the rows before it are no
 * whole rows.
 */
export function rowsEnd(sql: Uint8Array, from: number): number {
  const start = Math.max(from, sql.length - TAIL_BYTES_MAX);
  const text = Buffer.from(sql.buffer, sql.byteOffset + start, sql.length - start).toString('latin1');
  const found = TAIL.exec(text);
  return found === null ? sql.length : start + found.index + 1;
}

interface Known {
  readonly def: TableDef;
  readonly tails: Map<string, Conflict | null>;
}
const known = new WeakMap<InsertHead, Known>();

/** What the tail says; null: the grammar must read the statement. */
export function conflictTail(
  head: InsertHead,
  def: TableDef,
  headText: string,
  tail: string,
  plan: (text: string) => Statement | null,
): Conflict | null {
  let each = known.get(head);
  if (each === undefined || each.def !== def || each.tails.size >= TAILS_MAX) {
    each = { def, tails: new Map() };
    known.set(head, each);
  }
  let conflict = each.tails.get(tail);
  if (conflict === undefined) {
    const nulls = Array.from({ length: head.columns?.length ?? def.columns.length }, () => 'NULL');
    conflict = plainConflict(() => plan(`${headText} (${nulls.join(', ')}) ${tail}`));
    each.tails.set(tail, conflict);
  }
  return conflict;
}

function plainConflict(plan: () => Statement | null): Conflict | null {
  try {
    const statement = plan();
    if (statement?.kind !== 'insert' || statement.returning !== null || statement.parameterOids === null) return null;
    const { conflict } = statement;
    if (conflict?.action !== 'update') return conflict;
    // A quoted literal would say where it stands in another text.
    return conflict.values?.some((value) => value.kind === 'text' && value.position > 0) === false ? conflict : null;
  } catch (error) {
    if (error instanceof SqlError) return null;
    throw error;
  }
}
