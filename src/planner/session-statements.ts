/** Statements about the session: its settings, its prepared statements, its cursors. */
import type { ParsedStatement } from './plan.ts';

/** Of a prepared statement; `args` are libpg-query's nodes. */
export interface Execute {
  readonly kind: 'execute';
  readonly name: string;
  readonly args: readonly unknown[];
}

export type SessionStatement =
  /** value null: the default; `isReset`: RESET says so. */
  | {
      readonly kind: 'set';
      readonly name: string;
      readonly value: string | null;
      readonly local: boolean;
      readonly isReset?: true;
    }
  | { readonly kind: 'resetAll' }
  | { readonly kind: 'show'; readonly name: string }
  /** `types`: a query whose parameters have the types that were given. */
  | {
      readonly kind: 'prepare';
      readonly name: string;
      readonly types: string | null;
      readonly inner: ParsedStatement;
      readonly text: string;
    }
  | Execute
  | {
      readonly kind: 'declare';
      readonly name: string;
      readonly text: string;
      readonly isBinary: boolean;
      readonly isHoldable: boolean;
      /** Null: neither SCROLL nor NO SCROLL was said. */
      readonly scroll: boolean | null;
      readonly inner: ParsedStatement;
    }
  | {
      readonly kind: 'fetch';
      readonly name: string;
      readonly direction: 'forward' | 'backward' | 'absolute' | 'relative';
      /** Infinity: all. */
      readonly count: number;
      readonly isMove: boolean;
    }
  /** Null: all. */
  | { readonly kind: 'closeCursor'; readonly name: string | null }
  | { readonly kind: 'listen'; readonly channel: string }
  /** Null: everywhere. */
  | { readonly kind: 'unlisten'; readonly channel: string | null }
  | { readonly kind: 'notify'; readonly channel: string; readonly payload: string }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' }
  | { readonly kind: 'deallocate'; readonly name: string | null };
