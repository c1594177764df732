/**
 * Where sequences live: as properties of their schema's namespace in the catalog, one a sequence, and once more, those that
 * a column owns, in the property `arka.sequences` of its table with each commit.
 *
 * - Q1 The mark of a sequence in the catalog is durable before a value that it covers leaves the server: a block of values
 *   is one transaction of the catalog, so neither a trimmed log nor a lost data directory takes a sequence back (M-5).
 * - Q2 At open the further of the two marks counts: a table that is registered in another catalog brings its sequences.
 */
import { SqlError, SqlState } from '../../errors.ts';
import { further, type StoredSequence } from '../../sequence-def.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

const PREFIX = 'arka.sequence.';

export function storedSequences(catalog: SqliteCatalog): StoredSequence[] {
  return catalog.properties(PREFIX).map(({ key, schema, value }) => parsed(value, `${schema}: ${key}`));
}

export function storeSequence(catalog: SqliteCatalog, stored: StoredSequence): void {
  catalog.setProperty(stored.def.schema, PREFIX + stored.def.name, JSON.stringify(stored));
}

export function removeSequence(catalog: SqliteCatalog, schema: string, name: string): void {
  catalog.removeProperty(schema, PREFIX + name);
}

/** The property `arka.sequences` of a table: the sequences that its columns own; null when there are none. */
export function ownedSequences(catalog: SqliteCatalog, tableUuid: string): string | null {
  const owned = storedSequences(catalog).filter(({ def }) => def.owner?.tableUuid === tableUuid);
  return owned.length === 0 ? null : JSON.stringify(owned);
}

/** What a table says of its sequences goes into the catalog, where that knows less (Q2). */
export function adoptSequences(catalog: SqliteCatalog, schema: string, property: string | undefined): void {
  if (property === undefined) return;
  const known = new Map(storedSequences(catalog).map((stored) => [`${stored.def.schema}.${stored.def.name}`, stored]));
  let said: unknown;
  try {
    said = JSON.parse(property);
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, 'the property arka.sequences of a table is damaged', { cause: error });
  }
  if (!Array.isArray(said)) return;
  for (const each of said as StoredSequence[]) {
    const owned: StoredSequence = { ...each, def: { ...each.def, schema } };
    const held = known.get(`${schema}.${owned.def.name}`);
    if (held === undefined) storeSequence(catalog, owned);
    else if (held.def.owner?.tableUuid === owned.def.owner?.tableUuid) {
      const state = further(held, owned.state);
      if (state !== held.state) storeSequence(catalog, { def: held.def, state });
    }
  }
}

function parsed(value: string, where: string): StoredSequence {
  try {
    return JSON.parse(value) as StoredSequence;
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, `a sequence in the catalog is damaged (${where})`, { cause: error });
  }
}
