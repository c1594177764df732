/**
 * Assignment to parts of arrays: `SET a[2] = v`, `SET a[2:3] = '{…}'`, in UPDATE, ON CONFLICT and MERGE; of jsonb, in `jsonb-parts.ts`. All parts of a column in a
 * SET list are one assignment, carried out from left to right over the value that the column had.
 *
 * - P1 Arrays in columns have one dimension, from 1: what would make another of them is 0A000 for the row that it would be in.
 * - P2 A place beyond the end is reached with NULLs; no array is one without elements.
 */
import type { A_Indices, Node } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { elementOf, engineType, Oid } from '../types/pg-type.ts';
import { atNode, columnNode } from './ast.ts';
import { subscriptOf } from './duckdb/arrays.ts';
import type { Typed } from './duckdb/typed.ts';
import { documentAssigned } from './jsonb-parts.ts';

interface Part {
  readonly steps: readonly A_Indices[];
  readonly value: Node;
}

interface PartAssignment {
  /** The column itself, as an expression. */
  readonly base: Node;
  readonly parts: readonly Part[];
}

/** An assignment to parts, where it stands for the value of a column; null: it is a value. */
export function partsIn(value: Node): PartAssignment | null {
  return 'PartAssignment' in value ? (value as unknown as { PartAssignment: PartAssignment }).PartAssignment : null;
}

/**
 * @param earlier what was assigned to parts of the column before
 * @throws {SqlError} 42804, 0A000
 */
export function partAssignment(
  column: ColumnDef,
  alias: string,
  target: Node,
  indirection: readonly Node[],
  value: Node,
  earlier: PartAssignment | null,
): Node {
  const steps = stepsOf(column, target, indirection);
  if ('SetToDefault' in value) throw notSupported('DEFAULT for an element of an array', atNode(target));
  const base = earlier?.base ?? columnNode(alias, column.name);
  const assignment = { base, parts: [...(earlier?.parts ?? []), { steps, value }] };
  return { PartAssignment: assignment } as unknown as Node;
}

/** @throws {SqlError} 42804, 0A000 */
export function stepsOf(column: ColumnDef, target: Node, indirection: readonly Node[]): readonly A_Indices[] {
  if (elementOf(column.type) === undefined && column.type.oid !== Oid.jsonb) {
    if (indirection.some((step) => !('A_Indices' in step)))
      throw notSupported('assignment to a part of a column that is no array', atNode(target));
    const type = formatType({ oid: column.type.oid, typmod: -1 });
    throw new SqlError(
      SqlState.datatypeMismatch,
      `cannot subscript type ${type} because it does not support subscripting`,
      atNode(target),
    );
  }
  return indirection.map((step) => {
    if (!('A_Indices' in step)) throw notSupported('assignment to a field of a column', atNode(target));
    return step.A_Indices;
  });
}

/** PostgreSQL's. */
const ELEMENTS_MAX = 134_217_727;

const raise = (code: SqlState, message: string): string => `error('${code}: ${message.replaceAll("'", "''")}')`;
const OTHER_BOUND = raise(
  SqlState.featureNotSupported,
  'an array in a column whose first index is not 1 is not supported',
);
const DIMENSIONS = raise(
  SqlState.featureNotSupported,
  'an array of more than one dimension in a column is not supported',
);
const NO_SUBSCRIPT = raise(SqlState.nullValueNotAllowed, 'array subscript in assignment must not be null');
const TOO_LARGE = raise(SqlState.programLimitExceeded, `array size exceeds the maximum allowed (${ELEMENTS_MAX})`);
const SUBSCRIPTS = raise(SqlState.arraySubscriptError, 'wrong number of array subscripts');

/**
 * The array after all its parts were assigned.
 * @param write an expression
 * @param assign a value as it is assigned to a column of some type
 */
export function writeParts(
  { base, parts }: PartAssignment,
  column: ColumnDef,
  write: (node: Node) => Typed,
  assign: (value: Node, column: ColumnDef) => string,
): string {
  const type = engineType(column.type);
  let sql = write(base).sql;
  for (const { steps, value } of parts) {
    if (column.type.oid === Oid.jsonb) {
      sql = documentAssigned(sql, steps, assign(value, column), write);
      continue;
    }
    const isSlice = steps.some((step) => step.is_slice === true);
    const given = assign(value, isSlice ? column : { ...column, type: elementOf(column.type)! });
    const array = `coalesce(CAST(${sql} AS ${type}), CAST([] AS ${type}))`;
    const index = (node: Node | undefined): string => (node === undefined ? 'NULL' : subscriptOf(node, write));
    if (steps.length > 1) {
      const places = steps.flatMap(({ lidx, uidx }) => [lidx, uidx].filter((node) => node !== undefined).map(index));
      sql = bound(
        { a: array, v: given },
        `CASE WHEN ${places.map((place) => `${place} IS NULL`).join(' OR ')} THEN ${NO_SUBSCRIPT}
          WHEN len(p.a) = 0 THEN ${DIMENSIONS} ELSE ${SUBSCRIPTS} END`,
      );
      sql = `CAST(${sql} AS ${type})`;
      continue;
    }
    const { lidx, uidx } = steps[0]!;
    sql = isSlice
      ? bound(
          { a: array, v: given, l: index(lidx), u: index(uidx) },
          sliceAssigned(lidx !== undefined, uidx !== undefined),
        )
      : bound({ a: array, v: given, i: index(uidx) }, ELEMENT_ASSIGNED);
  }
  return `CAST(${sql} AS ${type})`;
}

/** An expression over values that are worked out once. */
function bound(values: Readonly<Record<string, string>>, sql: string): string {
  const fields = Object.entries(values).map(([name, value]) => `${name} := ${value}`);
  return `list_extract(list_transform([struct_pack(${fields.join(', ')})], lambda p: ${sql}), 1)`;
}

const ELEMENT_ASSIGNED = `CASE WHEN p.i IS NULL THEN ${NO_SUBSCRIPT}
  WHEN p.i < 1 OR (len(p.a) = 0 AND p.i <> 1) THEN ${OTHER_BOUND}
  WHEN p.i > ${ELEMENTS_MAX} THEN ${TOO_LARGE}
  ELSE list_concat(list_resize(p.a, p.i - 1), [p.v], list_slice(p.a, p.i + 1, len(p.a))) END`;

/** @param hasLower, hasUpper a bound that is left out is the array's own */
function sliceAssigned(hasLower: boolean, hasUpper: boolean): string {
  const lower = hasLower ? 'p.l' : '1';
  const upper = hasUpper ? 'p.u' : 'len(p.a)';
  const count = `(${upper} - ${lower} + 1)`;
  const missing = [hasLower ? ['p.l IS NULL'] : [], hasUpper ? ['p.u IS NULL'] : []].flat();
  const whens = [
    ...(missing.length === 0 ? [] : [`WHEN ${missing.join(' OR ')} THEN ${NO_SUBSCRIPT}`]),
    'WHEN p.v IS NULL THEN p.a',
    ...(hasLower && hasUpper
      ? [`WHEN len(p.a) = 0 AND ${count} = 0 THEN p.a`]
      : [
          `WHEN len(p.a) = 0 THEN ${raise(SqlState.arraySubscriptError, 'array slice subscript must provide both boundaries')}`,
        ]),
    `WHEN ${lower} > ${upper} THEN ${raise(SqlState.arraySubscriptError, 'upper bound cannot be less than lower bound')}`,
    `WHEN ${upper} > ${ELEMENTS_MAX} THEN ${TOO_LARGE}`,
    `WHEN len(p.v) < ${count} THEN ${raise(SqlState.arraySubscriptError, 'source array too small')}`,
    `WHEN ${lower} < 1 OR (len(p.a) = 0 AND ${lower} <> 1) THEN ${OTHER_BOUND}`,
  ];
  const parts = `list_resize(p.a, ${lower} - 1), list_slice(p.v, 1, ${count}), list_slice(p.a, ${upper} + 1, len(p.a))`;
  return `CASE ${whens.join(' ')} ELSE list_concat(${parts}) END`;
}
