/**
 * What became of one statement on both sides.
 *
 * - R4 `silent` is everything that a client would take for PostgreSQL's answer and is not: other rows, columns or tag, an answer where
 *   PostgreSQL has an error. Rows without ORDER BY are compared as a multiset; with it in order, but for ties.
 *   `newer` is a `silent` or `other` one that PostgreSQL 18 gives (`newer.ts`);
 *   `order` is a `silent` one whose answer PostgreSQL itself changes when the rows of its tables lie in another order (`row-order.ts`).
 * - R5 What hangs on an object that a refused statement was to make `follows`; it is counted apart and not as passed.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Outcome } from '../differential/wire.ts';

export const VERDICTS = ['same', 'error', 'refused', 'follows', 'other', 'newer', 'order', 'silent', 'crash'] as const;
/** same answer · same error · 0A000 · a consequence of one · another error · PostgreSQL 18's · one of several answers · another answer · XX000 or a lost connection */
export type Verdict = (typeof VERDICTS)[number];

/** Kinds of statement that the comparison leaves out, with all that names what they make. */
const OUTSIDE =
  /^\s*(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:constraint\s+)?(?:function|procedure|trigger|rule|operator|aggregate|type|domain|cast|language|access\s+method|event\s+trigger|foreign|server|text\s+search|extension|collation|conversion|statistics|policy|tablespace|publication|subscription)\b|\binherits\s*\(|\bpartition\s+(?:of|by)\s+(?:\w+|range\s*\()|^\s*(?:explain|analyze|vacuum|cluster|reindex|do|load|checkpoint)\b|^\s*set\s+(?:local\s+)?(?:enable_|parallel_|min_parallel|max_parallel|force_parallel|work_mem|hash_mem|jit|geqo|debug_|debug|from_collapse|join_collapse|cpu_|random_page|plan_cache|array_nulls|extra_float)/i;

export class Scope {
  readonly #outside = new Set<string>();

  /** True for a statement that takes no part. */
  leavesOut(sql: string): boolean {
    const text = sql.replaceAll(/--[^\n]*/g, '');
    const words = new Set(text.toLowerCase().match(/[a-z_]\w*/g) ?? []);
    const names = [...this.#outside].some((name) => words.has(name));
    const isPartitioned = /\bpartition\s+by\s+(?:range|list|hash)\s*\(/i.test(text) && /^\s*create\b/i.test(text);
    const kind = /^\s*(?:create|alter)\b[^]*\bpartition\b/i.test(text) ? isPartitioned : false;
    if (!names && !kind && !(OUTSIDE.test(text) && !/^\s*(?:select|with|values)\b/i.test(text))) return false;
    const made =
      /^\s*(?:explain\b[^]*?\b)?create\s+(?:or\s+replace\s+)?(?:temp\w*\s+|unlogged\s+|constraint\s+)?(?:table|function|procedure|type|domain|aggregate|view|trigger|rule)\s+(?:if\s+not\s+exists\s+)?(?:\w+\.)?"?(\w+)/i.exec(
        text,
      );
    if (made !== null) this.#outside.add(made[1]!.toLowerCase());
    const changed =
      /^\s*create\s+(?:or\s+replace\s+)?(?:constraint\s+)?(?:rule|trigger)\b[^]*?\b(?:to|on)\s+(?:only\s+)?(\w+)\s/i.exec(
        text.replace(/\bon\s+(?:insert|update|delete|select)\b/gi, ''),
      );
    if (changed !== null) this.#outside.add(changed[1]!.toLowerCase());
    if (/^\s*create\s+(?:or\s+replace\s+)?(?:function|procedure|rule)\b/i.test(text))
      for (const [, filled] of text.matchAll(/\b(?:insert\s+into|create\s+table)\s+(\w+)/gi))
        this.#outside.add(filled!.toLowerCase());
    const parents = /\binherits\s*\(([^)]*)\)/i.exec(text)?.[1] ?? '';
    for (const parent of parents.match(/\w+/g) ?? []) this.#outside.add(parent.toLowerCase());
    return true;
  }
}

/** Codes for a name that nothing has. */
export const UNKNOWN: ReadonlySet<string> = new Set(['42P01', '42703', '42704', '26000', '34000', '3F000', '42P10']);

export function verdictOf(sql: string, oracle: Outcome, arka: Outcome | null, isLost: boolean): Verdict {
  if (arka === null || arka.error?.['code'] === 'XX000') return 'crash';
  const code = arka.error?.['code'];
  if (code !== undefined) {
    if (oracle.error?.['code'] === code) return 'error';
    if (code === '0A000') return 'refused';
    return isLost && (oracle.error === null || UNKNOWN.has(code)) ? 'follows' : 'other';
  }
  const otherwise = isLost ? 'follows' : 'silent';
  if (oracle.error !== null) return otherwise;
  if (!isDeepStrictEqual(described(oracle), described(arka)) || oracle.tag !== arka.tag) return otherwise;
  return sameRows(sql, oracle.rows, arka.rows) ? 'same' : otherwise;
}

/** Types that a database made itself have OIDs of its own. */
function described({ columns }: Outcome): unknown {
  return columns?.map(([name, oid]) => [name, oid >= 16_384 ? 'own' : oid]);
}

type Row = readonly (string | null)[];

function sameRows(sql: string, oracle: readonly Row[], arka: readonly Row[]): boolean {
  if (isDeepStrictEqual(oracle, arka)) return true;
  const keys = (rows: readonly Row[]): string[] => rows.map((row) => JSON.stringify(row)).toSorted();
  if (!isDeepStrictEqual(keys(oracle), keys(arka))) return false;
  const order = /\border\s+by\s+(\d+(?:\s*,\s*\d+)*)\s*;?\s*$/i.exec(sql);
  if (order === null) return true;
  const at = order[1]!.split(',').map((n) => Number(n) - 1);
  const sorted = (rows: readonly Row[]): unknown => rows.map((row) => at.map((i) => row[i]));
  return isDeepStrictEqual(sorted(oracle), sorted(arka));
}
