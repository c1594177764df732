/**
 * A table's indexes as its property `arka.indexes`: JSON, changed by a swap of properties alone. Indexes are rebuilt from
 * the rows, so the property is all that is kept of them (V6).
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { ColumnDef, IndexDef } from '../../table-def.ts';
import { isHashable } from '../../types/pg-type.ts';
import { buildAttempt } from './commit.ts';
import type { Lake } from './lake.ts';
import type { IndexesRequest } from './lake-api.ts';
import { told, type TableAccess } from './maintenance.ts';
import { Property, uuidText, type TableMetadata } from './metadata.ts';

const ATTEMPTS_MAX = 20;

interface StoredIndex {
  readonly name: string;
  readonly method: 'hash';
  readonly 'field-id': number;
  readonly slot: number;
}

export function indexesText(indexes: readonly IndexDef[]): string {
  const stored = indexes.map(({ name, fieldId, slot }): StoredIndex => ({
    name,
    method: 'hash',
    'field-id': fieldId,
    slot,
  }));
  return JSON.stringify(stored);
}

/** Those whose column is still there, with a type that can be hashed. @throws {SqlError} XX001 */
export function storedIndexes(metadata: TableMetadata, columns: readonly ColumnDef[]): readonly IndexDef[] {
  const text = metadata.properties?.[Property.indexes];
  if (text === undefined) return [];
  try {
    return (JSON.parse(text) as readonly StoredIndex[])
      .map(({ name, 'field-id': fieldId, slot }) => ({ name, fieldId, slot }))
      .filter(({ fieldId }) => columns.some((column) => column.fieldId === fieldId && isHashable(column.type)));
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, `table property ${Property.indexes} is damaged`, { cause: error });
  }
}

/** The metadata's new location; null: another writer's changes lie below it, and are told by a refresh. */
export async function setIndexes(lake: Lake, access: TableAccess, request: IndexesRequest): Promise<string | null> {
  const { tableUuid: uuid, indexes } = request;
  const properties = { [Property.indexes]: indexesText(indexes) };
  for (let retries = 0; ; retries++) {
    const base = await access.load(lake, uuid);
    const commitId = uuidText();
    const context = access.context(lake, uuid);
    const none = new Set<string>();
    const change = { added: [], deletes: [], removed: none, removedDeletes: none, properties, trigger: 'indexes' };
    const attempt = await buildAttempt(context, base, change, commitId);
    const foreign = base.metadataLocation !== lake.known.get(uuid)!.reported;
    if (await access.swap(lake, base, attempt, commitId)) {
      if (foreign) return null;
      told(lake, { ...base, metadataLocation: attempt.metadataLocation, metadata: attempt.metadata });
      return attempt.metadataLocation;
    }
    context.discard(attempt.written);
    if (retries >= ATTEMPTS_MAX)
      throw new SqlError(
        SqlState.serializationFailure,
        `could not change the indexes of table "${base.name}": other writers were faster ${ATTEMPTS_MAX} times`,
      );
  }
}
