/**
 * Where sequences live: as properties of their schema's namespace in the catalog, one a sequence, and once more, those that
 * a column owns, in the property `arka.sequences` of its table with each commit.
 *
 * - Q1 The mark of a sequence in the catalog is durable before a value that it covers leaves the server: a block of values
 *   is one transaction of the catalog, so neither a trimmed log nor a lost data directory takes a sequence back (M-5).
 * - Q2 The catalog has the last word. A table that it has not seen, because it comes from another one, brings its sequences along.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { StoredSequence } from '../../sequence-def.ts';
import type { TableDef } from '../../table-def.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

const PREFIX = 'arka.sequence.';

export function storedSequences(catalog: SqliteCatalog): StoredSequence[] {
  return catalog.properties(PREFIX).map(({ key, schema, value }) => parsed(value, `${schema}: ${key}`));
}

export function storeSequence(catalog: SqliteCatalog, stored: StoredSequence): void {
  catalog.setProperty(stored.def.schema, PREFIX + stored.def.name, JSON.stringify(stored));
}

/**
 * What the catalog says of a sequence from a transaction's definitions on: what was given out before stays covered until the
 * transaction's rows are in the log, so a crash in between takes nothing back (Q1).
 */
export function covering(before: StoredSequence | undefined, { def, state }: StoredSequence): StoredSequence {
  if (before === undefined) return { def, state };
  const [had, has] = [BigInt(before.state.last), BigInt(state.last)];
  if (had < BigInt(def.min) || had > BigInt(def.max)) return { def, state };
  const isBeyond = BigInt(def.increment) > 0n ? had > has : had < has;
  return isBeyond || (had === has && before.state.isCalled) ? { def, state: before.state } : { def, state };
}

export function removeSequence(catalog: SqliteCatalog, schema: string, name: string): void {
  catalog.removeProperty(schema, PREFIX + name);
}

/** The property `arka.sequences` of a table: the sequences that its columns own; null when there are none. */
export function ownedSequences(catalog: SqliteCatalog, tableUuid: string): string | null {
  const owned = storedSequences(catalog).filter(({ def }) => def.owner?.tableUuid === tableUuid);
  return owned.length === 0 ? null : JSON.stringify(owned);
}

/** The sequences that a table's columns take their values from, where the catalog does not have them: it is new here (Q2). */
export function adoptSequences(
  catalog: SqliteCatalog,
  { schema, columns }: TableDef,
  property: string | undefined,
): void {
  if (property === undefined) return;
  let said: unknown;
  try {
    said = JSON.parse(property);
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, 'the property arka.sequences of a table is damaged', { cause: error });
  }
  if (!Array.isArray(said)) return;
  const used = new Set(columns.map((column) => (column.default?.kind === 'nextval' ? column.default.sequence : 0)));
  const known = new Set(storedSequences(catalog).map(({ def }) => `${def.schema}.${def.name}`));
  for (const { def, state } of said as StoredSequence[])
    if (used.has(def.oid) && !known.has(`${schema}.${def.name}`))
      storeSequence(catalog, { def: { ...def, schema }, state });
}

function parsed(value: string, where: string): StoredSequence {
  try {
    return JSON.parse(value) as StoredSequence;
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, `a sequence in the catalog is damaged (${where})`, { cause: error });
  }
}
