/**
 * Plans of a session's last statements, for texts that come again: most drivers send each text anew, without a name. A plan is as good
 * as a prepared statement's, until definitions, settings that plans are made with, or rights change.
 */
import type { ParsedStatement, Statement } from '../planner/plan.ts';

const PLANS_MAX = 16;
const KINDS: ReadonlySet<Statement['kind']> = new Set(['query', 'insert', 'update', 'delete']);
/** Literals that mean the moment at which they are planned. */
const MOMENTARY = /now|today|tomorrow|yesterday/i;

/** What a plan was made with. */
export interface PlannedWith {
  readonly generation: number;
  readonly rights: number;
  readonly parameterOids: readonly number[];
}

export class KeptPlans {
  /** By statements that the parser keeps: the same text is the same object. */
  readonly #plans = new Map<ParsedStatement, PlannedWith & { readonly statement: Statement }>();

  find(parsed: ParsedStatement, { generation, rights, parameterOids }: PlannedWith): Statement | null {
    const kept = this.#plans.get(parsed);
    if (kept === undefined || kept.generation !== generation || kept.rights !== rights) return null;
    const declared = kept.parameterOids;
    if (declared.length !== parameterOids.length) return null;
    for (let i = 0; i < declared.length; i++) if (declared[i] !== parameterOids[i]) return null;
    return kept.statement;
  }

  keep(parsed: ParsedStatement, statement: Statement, plannedWith: PlannedWith): void {
    if (!Object.isFrozen(parsed) || !KINDS.has(statement.kind) || MOMENTARY.test(parsed.text)) return;
    this.#plans.delete(parsed); // its older plan is not one more, and the new one is the youngest
    if (this.#plans.size >= PLANS_MAX) this.#plans.delete(this.#plans.keys().next().value!);
    this.#plans.set(parsed, { ...plannedWith, statement });
  }
}
