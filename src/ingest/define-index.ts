/**
 * CREATE INDEX and DROP INDEX: the table's property first, then main's structures; rows that are there are taken in beside
 * everything else (index-follower.ts). A cancel ends the wait for other definitions and for the table's lane, not the change itself.
 */
import { SqlError, SqlState } from '../errors.ts';
import { Turn, type Running } from '../running.ts';
import type { Table } from '../storage/table.ts';
import {
  blockOf,
  FIRST_INDEX_SLOT,
  OIDS_PER_TABLE,
  type IndexDef,
  type IndexShape,
  type IndexToMake,
  type TableDef,
} from '../table-def.ts';
import type { Database } from './database.ts';
import { refreshTable } from './iceberg-commit.ts';
import { indexedTable, relationNamed, type Relations } from './relations.ts';
import { readOnly } from './read-only.ts';

const NAME_BYTES_MAX = 63;

/** `name` null: the one that PostgreSQL would choose. */
export interface IndexDraft extends IndexToMake {
  readonly tableUuid: string;
}

/** The index's name, null when one was there and `ifNotExists` said that is fine. */
export function createIndex(
  database: Database,
  draft: IndexDraft,
  ifNotExists: boolean,
  running: Running,
): Promise<string | null> {
  return inTurn(database, running, async (turn) => {
    const table = database.tables.get(draft.tableUuid);
    if (table === undefined)
      throw new SqlError(SqlState.undefinedTable, 'the table of the index was dropped by another session');
    const index = newIndexUnless(ifNotExists, database.relations, table, draft, () => database.takeOid());
    if (index === null) return null;
    await change(database, table, [...table.def.indexes, index], turn);
    return index.name;
  });
}

/** With a name and an OID. @throws {SqlError} 42P07 */
export function newIndex(
  relations: Relations,
  table: Pick<Table, 'def'>,
  { name: wanted, index }: IndexToMake,
  takeOid: () => number,
): IndexDef {
  const name = wanted ?? chosenName(relations, table, index);
  if (isFreeName(relations, table.def, name)) return { name, ...index, slot: freeSlot(table, takeOid) };
  throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
}

/** Null: it is there, and `ifNotExists` says that is fine. @throws {SqlError} 42P07 */
export function newIndexUnless(
  ifNotExists: boolean,
  relations: Relations,
  table: Table,
  index: IndexToMake,
  takeOid: () => number,
): IndexDef | null {
  if (ifNotExists && index.name !== null && !isFreeName(relations, table.def, index.name)) return null;
  return newIndex(relations, table, index, takeOid);
}

export function dropIndex(database: Database, schema: string, name: string, running: Running): Promise<void> {
  return inTurn(database, running, async (turn) => {
    const table = indexedTable(database.relations, schema, name);
    if (table === undefined) throw new SqlError(SqlState.undefinedObject, `index "${name}" does not exist`);
    await change(
      database,
      table,
      table.def.indexes.filter((index) => index.name !== name),
      turn,
    );
  });
}

async function inTurn<T>(database: Database, running: Running, work: (turn: Turn) => Promise<T>): Promise<T> {
  const turn = new Turn(running);
  try {
    return await turn.wait(database.define(() => turn.wait(work(turn))));
  } finally {
    turn.end();
  }
}

async function change(database: Database, table: Table, indexes: readonly IndexDef[], turn: Turn): Promise<void> {
  await database.inLane(table, async () => {
    if (table.detached !== null) throw readOnly(table.detached);
    await refreshTable(database, table);
    turn.begin();
    const location = await database.lake.setIndexes({ tableUuid: table.def.uuid, indexes });
    if (location !== null) table.metadataLocation = location;
    table.setIndexes(indexes);
  });
  database.generation++;
  database.follower.wake(table);
}

/** In the table's block of OIDs, in a further one that it has begun, or in a new one: slots count from the table's OID. */
function freeSlot({ def }: Pick<Table, 'def'>, takeOid: () => number): number {
  const taken = new Set(def.indexes.map(({ slot }) => slot));
  for (let slot = FIRST_INDEX_SLOT; slot < OIDS_PER_TABLE; slot++) if (!taken.has(slot)) return slot;
  for (const slot of taken) {
    if (slot < OIDS_PER_TABLE) continue;
    const block = blockOf(def.oid + slot);
    for (let oid = block; oid < block + OIDS_PER_TABLE; oid++) if (!taken.has(oid - def.oid)) return oid - def.oid;
  }
  return takeOid() - def.oid;
}

/** Of relations, and of what a definition that is not everybody's yet has. */
const isFreeName = (relations: Relations, { schema, indexes }: TableDef, name: string): boolean =>
  relationNamed(relations, schema, name) === null && !indexes.some((index) => index.name === name);

/** `table_columns_idx`, then idx1, idx2 …, of a constraint key, key1 …: the longer of both names is cut until it fits, as PostgreSQL does. */
function chosenName(relations: Relations, { def }: Pick<Table, 'def'>, index: IndexShape): string {
  const columns = joinedNames(def, [...index.columns.map(({ fieldId }) => fieldId), ...index.included]);
  for (let count = 0; ; count++) {
    const kind = index.unique === 'constraint' ? '_key' : '_idx';
    const label = count === 0 ? kind : `${kind}${count}`;
    let [first, second] = [def.name, columns];
    while (Buffer.byteLength(first) + Buffer.byteLength(second) + 1 + label.length > NAME_BYTES_MAX) {
      if (Buffer.byteLength(first) > Buffer.byteLength(second)) first = withoutLast(first);
      else second = withoutLast(second);
    }
    const name = `${first}_${second}${label}`;
    if (isFreeName(relations, def, name)) return name;
  }
}

/** A column that is there again gets a number; once the names are longer than any name may be, no more are added. */
function joinedNames(def: TableDef, fieldIds: readonly number[]): string {
  const names: string[] = [];
  for (const fieldId of fieldIds) {
    const { name } = def.columns.find((each) => each.fieldId === fieldId)!;
    let own = name;
    for (let count = 1; names.includes(own); count++) {
      let start = name;
      while (Buffer.byteLength(start) + String(count).length > NAME_BYTES_MAX) start = withoutLast(start);
      own = `${start}${count}`;
    }
    names.push(own);
  }
  let joined = names[0]!;
  for (const name of names.slice(1)) {
    if (Buffer.byteLength(joined) > NAME_BYTES_MAX) break;
    joined += `_${name}`;
  }
  return joined;
}

const withoutLast = (text: string): string => [...text].slice(0, -1).join('');
