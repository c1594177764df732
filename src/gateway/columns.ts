/** Result columns that Arka describes itself, and types of parameters. */
import { notSupported } from '../errors.ts';
import type { PlannedColumn, QueryPlan, Returning } from '../planner/plan.ts';
import { Oid, typeLength } from '../types/pg-type.ts';
import type { ResultColumn } from '../types/result-column.ts';
import type { MaybePromise, Output } from '../wire/gateway-api.ts';

export function textColumn(name: string): ResultColumn {
  return { name, tableOid: 0, attnum: 0, typeOid: 25, typlen: -1, typmod: -1 };
}

export function describedColumns(plan: QueryPlan): readonly ResultColumn[] {
  return plan.described!.map(resultColumn);
}

/** Undefined: PostgreSQL must say it. */
export function describedReturning(returning: Returning): readonly ResultColumn[] | undefined {
  return returning.described?.map(resultColumn);
}

function resultColumn(column: PlannedColumn): ResultColumn {
  return { ...column, typlen: typeLength(column.typeOid) };
}

export function mergeOids(declared: readonly number[], inferred: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, i) =>
    declared[i] !== undefined && declared[i] !== 0 ? declared[i] : (inferred[i] ?? 25),
  );
}

/** An output for EXPLAIN ANALYZE: the rows are made and dropped, or looked at. */
export function discard(take: (messages: Uint8Array) => MaybePromise<void> = () => {}): Output {
  return {
    rowDescription: () => {},
    dataRows: take,
    get writer(): never {
      throw notSupported('EXPLAIN ANALYZE of this statement');
    },
    commandComplete: () => {},
    portalSuspended: () => {},
    emptyQuery: () => {},
    copyOut: () => {},
    copyDone: () => {},
    copyIn: () => Promise.reject(notSupported('EXPLAIN of COPY')),
  };
}

/** EXPLAIN's column is of the type of its format. */
export function planColumn(format: 'text' | 'json'): ResultColumn {
  const column = textColumn('QUERY PLAN');
  return format === 'json' ? { ...column, typeOid: Oid.json } : column;
}

/** One text column of lines, for SHOW and EXPLAIN. `extended`: the RowDescription went with Describe. */
export function sendLines(column: ResultColumn, lines: readonly string[], out: Output, extended: boolean): void {
  if (!extended) out.rowDescription([column], [0]);
  for (const line of lines) {
    const bytes = Buffer.from(line);
    out.writer.u8(0x44);
    out.writer.i32(10 + bytes.length);
    out.writer.i16(1);
    out.writer.i32(bytes.length);
    out.writer.raw(bytes);
  }
}
