/**
 * CHECK constraints as plain data: a small language of conditions over the columns of one row. The planner makes it from SQL when
 * a table is made, it is kept with the table, and the writer tests rows by it without a parser and without another thread.
 */
import type { PgType } from './table-def.ts';

export interface CheckDef {
  readonly name: string;
  /** The expression as SQL: PostgreSQL shows it in its own form. */
  readonly sql: string;
  readonly test: Condition;
}

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=';

/** True, false or unknown; a row is refused by false alone. */
export type Condition =
  | { readonly is: 'and' | 'or'; readonly of: readonly Condition[] }
  | { readonly is: 'not'; readonly of: Condition }
  | { readonly is: 'compare'; readonly op: Comparison; readonly left: Operand; readonly right: Operand }
  | { readonly is: 'distinct'; readonly left: Operand; readonly right: Operand }
  | { readonly is: 'null'; readonly of: Operand }
  /** IS TRUE, IS FALSE, IS UNKNOWN. */
  | { readonly is: 'truth'; readonly of: Condition; readonly value: boolean | null }
  | { readonly is: 'value'; readonly of: Operand }
  | { readonly is: 'match'; readonly of: Operand; readonly pattern: string; readonly flags: string };

/** GENERATED ALWAYS AS (sql) STORED. */
export interface GenerationDef {
  /** The expression as SQL: PostgreSQL shows it in its own form. */
  readonly sql: string;
  readonly of: Operand;
}

/** NULL of a NULL. Those of numerics take and give their texts. */
export type RowFunction =
  | 'concat'
  | 'substr'
  | 'left'
  | 'right'
  | 'replace'
  | 'ltrim'
  | 'rtrim'
  | 'reverse'
  | 'repeat'
  | 'md5'
  | 'numeric_add'
  | 'numeric_subtract'
  | 'numeric_multiply'
  | 'numeric_divide'
  | 'numeric_modulo'
  | 'numeric_round'
  | 'numeric_trunc'
  | 'numeric_ceil'
  | 'numeric_floor'
  | 'numeric_abs'
  | 'float_divide'
  | 'json_member'
  | 'json_element'
  | 'json_text'
  | 'date_field'
  | 'date_trunc';

export type CheckFunction =
  | 'length'
  | 'octet_length'
  | 'lower'
  | 'upper'
  | 'trim'
  | 'strpos'
  | 'starts_with'
  | 'abs'
  | 'coalesce'
  | 'greatest'
  | 'least'
  | 'num_nonnulls';

/** `/` and `%` of integers alone. */
export type Arithmetic = '+' | '-' | '*' | '/' | '%';

export type Operand =
  | { readonly kind: 'column'; readonly fieldId: number; readonly type: PgType }
  /** `text` null: NULL. Read by the input function of its type. */
  | { readonly kind: 'constant'; readonly text: string | null; readonly type: PgType }
  | { readonly kind: 'call'; readonly name: CheckFunction; readonly args: readonly Operand[]; readonly type: PgType }
  | {
      readonly kind: 'arithmetic';
      readonly op: Arithmetic;
      readonly left: Operand;
      readonly right: Operand;
      readonly type: PgType;
    }
  /** A condition as a boolean, or as 0 and 1. */
  | { readonly kind: 'condition'; readonly of: Condition; readonly type: PgType }
  | {
      readonly kind: 'case';
      readonly whens: readonly { readonly test: Condition; readonly result: Operand }[];
      readonly otherwise: Operand;
      readonly type: PgType;
    }
  /** A numeric of any size, an interval or a time with a zone as what it compares by. */
  | { readonly kind: 'key'; readonly of: Operand; readonly type: PgType }
  | { readonly kind: 'function'; readonly name: RowFunction; readonly args: readonly Operand[]; readonly type: PgType }
  | { readonly kind: 'cast'; readonly of: Operand; readonly type: PgType }
  | { readonly kind: 'now'; readonly type: PgType };

/** An expression with all that it is made of. */
export function* partsOf(part: Operand | Condition): Iterable<Operand> {
  if ('kind' in part) yield part;
  for (const inner of Object.values(part).flat() as unknown[]) {
    if (typeof inner !== 'object' || inner === null) continue;
    if ('kind' in inner || 'is' in inner) yield* partsOf(inner as Operand | Condition);
    else if ('test' in inner && 'result' in inner)
      for (const each of Object.values(inner)) yield* partsOf(each as Operand | Condition);
  }
}
