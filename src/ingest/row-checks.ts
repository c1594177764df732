/**
 * CHECK constraints of a table, tested on rows that are written. In the order of their names, as PostgreSQL tests them; a
 * condition that is unknown refuses nothing.
 */
import type { CheckDef, Comparison, Condition, Operand } from '../check-def.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { TableDef } from '../table-def.ts';
import type { TimeContext } from '../types/text-input.ts';
import { asFloat, isFloat, operandReader, scaled, scaleOf, type Read, type Row, type Value } from './check-operands.ts';
import { failingRow, type RefusedRow } from './row-errors.ts';
import { TEXTS } from '../types/type-kinds.ts';

type Test = (row: Row, at: number) => boolean | null;

/** The first check that a row does not pass; null: it passes all. */
export type RowChecks = (row: Row, at: number) => CheckDef | null;

/** Null: the table has no checks. */
export function rowChecks(def: TableDef, context: TimeContext): RowChecks | null {
  const checks = def.checks ?? [];
  if (checks.length === 0) return null;
  const tests = checks
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
    .map((check) => ({ check, test: conditionTester(check.test, def, context) }));
  return (row, at) => {
    for (const { check, test } of tests) if (test(row, at) === false) return check;
    return null;
  };
}

export function checkViolation(def: TableDef, check: CheckDef, refused: RefusedRow): SqlError {
  return new SqlError(
    SqlState.checkViolation,
    `new row for relation "${def.name}" violates check constraint "${check.name}"`,
    { detail: failingRow(def, refused), schema: def.schema, table: def.name, constraint: check.name },
  );
}

/** True, false, or NULL: unknown. */
export function conditionTester(condition: Condition, def: TableDef, context: TimeContext): Test {
  const inner = (each: Condition): Test => conditionTester(each, def, context);
  const read = (operand: Operand): Read => operandReader(operand, def, context, inner);
  switch (condition.is) {
    case 'and':
    case 'or':
      return connective(condition.of.map(inner), condition.is === 'or');
    case 'not': {
      const of = inner(condition.of);
      return (row, at) => negated(of(row, at));
    }
    case 'compare':
      return comparison(condition.op, ...pair(condition.left, condition.right, read));
    case 'distinct':
      return distinct(...pair(condition.left, condition.right, read));
    case 'null': {
      const of = read(condition.of);
      return (row, at) => of(row, at) === null;
    }
    case 'truth': {
      const of = inner(condition.of);
      return (row, at) => of(row, at) === condition.value;
    }
    case 'value': {
      const of = read(condition.of);
      return (row, at) => of(row, at) as boolean | null;
    }
    default: {
      const of = read(condition.of);
      const pattern = new RegExp(condition.pattern, condition.flags);
      return (row, at) => {
        const value = of(row, at);
        return value === null ? null : pattern.test(value as string);
      };
    }
  }
}

const negated = (value: boolean | null): boolean | null => (value === null ? null : !value);

/** AND and OR of three values: `decides` is the one that decides alone. */
function connective(tests: readonly Test[], decides: boolean): Test {
  return (row, at) => {
    let result: boolean | null = !decides;
    for (const test of tests) {
      const value = test(row, at);
      if (value === decides) return decides;
      if (value === null) result = null;
    }
    return result;
  };
}

/** How two values compare: negative, 0, positive. */
type Order = (a: Value, b: Value) => number;

function pair(left: Operand, right: Operand, read: (operand: Operand) => Read): [Read, Read, Order] {
  if (isFloat(left.type) || isFloat(right.type))
    return [asFloat(read(left), left.type), asFloat(read(right), right.type), floats];
  const scale = Math.max(scaleOf(left.type), scaleOf(right.type));
  const reads = [
    scaled(read(left), scaleOf(left.type), scale),
    scaled(read(right), scaleOf(right.type), scale),
  ] as const;
  const isText = TEXTS.has(left.type.oid);
  return [...reads, isText ? texts : plain];
}

const plain: Order = (a, b) => (a! < b! ? -1 : a! > b! ? 1 : 0);

/** NaN is equal to itself, and above all others. */
const floats: Order = (a, b) => {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1;
  return Number.isNaN(b) ? -1 : plain(a, b);
};

const texts: Order = (a, b) => (a === b ? 0 : Buffer.compare(Buffer.from(a as string), Buffer.from(b as string)));

const HOLDS: Readonly<Record<Comparison, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '<>': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function comparison(op: Comparison, left: Read, right: Read, order: Order): Test {
  const holds = HOLDS[op];
  return (row, at) => {
    const a = left(row, at);
    if (a === null) return null;
    const b = right(row, at);
    return b === null ? null : holds(order(a, b));
  };
}

function distinct(left: Read, right: Read, order: Order): Test {
  return (row, at) => {
    const a = left(row, at);
    const b = right(row, at);
    return a === null || b === null ? a !== b : order(a, b) !== 0;
  };
}
