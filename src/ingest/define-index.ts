/**
 * CREATE INDEX and DROP INDEX: the table's property first, then main's structures; rows that are there are taken in beside
 * everything else (index-follower.ts).
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Table } from '../storage/table.ts';
import { FIRST_INDEX_SLOT, OIDS_PER_TABLE, type IndexDef } from '../table-def.ts';
import type { Database } from './database.ts';
import { refreshTable } from './iceberg-commit.ts';
import { readOnly } from './transaction.ts';

const NAME_BYTES_MAX = 63;

export type RelationKind = 'table' | 'key' | 'index' | 'sequence';

/** What a schema has under a name; tables, keys, indexes and sequences share one space of names. */
export function relationNamed(database: Database, schema: string, name: string): RelationKind | null {
  for (const { def } of database.tables.values()) {
    if (def.schema !== schema) continue;
    if (def.name === name) return 'table';
    if (def.keyName === name) return 'key';
    if (def.indexes.some((index) => index.name === name)) return 'index';
  }
  if (database.sequences.named(schema, name) !== undefined) return 'sequence';
  return null;
}

/** The table with an index of that name. */
export function indexedTable(database: Database, schema: string, name: string): Table | undefined {
  for (const table of database.tables.values())
    if (table.def.schema === schema && table.def.indexes.some((index) => index.name === name)) return table;
  return undefined;
}

/** `name` null: the one that PostgreSQL would choose. */
interface IndexDraft {
  readonly tableUuid: string;
  readonly name: string | null;
  readonly fieldId: number;
}

/** The index's name, null when one was there and `ifNotExists` said that is fine. */
export function createIndex(database: Database, draft: IndexDraft, ifNotExists: boolean): Promise<string | null> {
  return database.define(async () => {
    const table = database.tables.get(draft.tableUuid);
    if (table === undefined)
      throw new SqlError(SqlState.undefinedTable, 'the table of the index was dropped by another session');
    const { def } = table;
    const name = draft.name ?? chosenName(database, table, draft.fieldId);
    if (relationNamed(database, def.schema, name) !== null) {
      if (ifNotExists) return null;
      throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
    }
    await change(database, table, [...def.indexes, { name, fieldId: draft.fieldId, slot: freeSlot(table) }]);
    return name;
  });
}

export function dropIndex(database: Database, schema: string, name: string): Promise<void> {
  return database.define(async () => {
    const table = indexedTable(database, schema, name);
    if (table === undefined) throw new SqlError(SqlState.undefinedObject, `index "${name}" does not exist`);
    await change(
      database,
      table,
      table.def.indexes.filter((index) => index.name !== name),
    );
  });
}

async function change(database: Database, table: Table, indexes: readonly IndexDef[]): Promise<void> {
  await database.inLane(table, async () => {
    if (table.detached !== null) throw readOnly(table.detached);
    await refreshTable(database, table);
    const location = await database.lake.setIndexes({ tableUuid: table.def.uuid, indexes });
    if (location !== null) table.metadataLocation = location;
    table.setIndexes(indexes);
  });
  database.generation++;
  database.follower.wake(table);
}

function freeSlot({ def }: Table): number {
  for (let slot = FIRST_INDEX_SLOT; slot < OIDS_PER_TABLE; slot++)
    if (!def.indexes.some((index) => index.slot === slot)) return slot;
  const most = OIDS_PER_TABLE - FIRST_INDEX_SLOT;
  throw new SqlError(SqlState.programLimitExceeded, `a table can have at most ${most} indexes`, {
    hint: 'DROP INDEX one that is not needed any more.',
  });
}

/** `table_column_idx`, then idx1, idx2 …: the longer of both names is cut until it fits, as PostgreSQL does. */
function chosenName(database: Database, { def }: Table, fieldId: number): string {
  const column = def.columns.find((each) => each.fieldId === fieldId)!.name;
  for (let count = 0; ; count++) {
    const label = count === 0 ? '_idx' : `_idx${count}`;
    let [first, second] = [def.name, column];
    while (Buffer.byteLength(first) + Buffer.byteLength(second) + 1 + label.length > NAME_BYTES_MAX) {
      if (Buffer.byteLength(first) > Buffer.byteLength(second)) first = withoutLast(first);
      else second = withoutLast(second);
    }
    const name = `${first}_${second}${label}`;
    if (relationNamed(database, def.schema, name) === null) return name;
  }
}

const withoutLast = (text: string): string => [...text].slice(0, -1).join('');
