/**
 * A table's indexes as its property `arka.indexes`: JSON, changed by a swap of properties alone. Indexes are rebuilt from
 * the rows, so the property is all that is kept of them (V6).
 */
import { SqlError, SqlState } from '../../errors.ts';
import { indexedFields, type ColumnDef, type IndexColumn, type IndexDef, type Uniqueness } from '../../table-def.ts';
import { buildAttempt } from './commit.ts';
import type { Lake } from './lake.ts';
import type { IndexesRequest } from './lake-api.ts';
import { told, type TableAccess } from './maintenance.ts';
import { Property, uuidText, type TableMetadata } from './metadata.ts';

const ATTEMPTS_MAX = 20;

/** Left out of what is stored: what is as PostgreSQL has it by default. Indexes of before B-trees have one column, `field-id`. */
interface StoredIndex {
  readonly name: string;
  readonly method: IndexDef['method'];
  readonly 'field-id'?: number;
  readonly columns?: readonly StoredColumn[];
  readonly included?: readonly number[];
  readonly options?: Readonly<Record<string, string>>;
  readonly slot: number;
  readonly unique?: Uniqueness;
}

interface StoredColumn {
  readonly 'field-id': number;
  readonly descending?: true;
  readonly 'nulls-first'?: boolean;
  readonly 'operator-class'?: string;
  readonly collation?: string;
}

export function indexesText(indexes: readonly IndexDef[]): string {
  const stored = indexes.map(({ name, method, columns, included, options, slot, unique }): StoredIndex => ({
    name,
    method,
    columns: columns.map(storedColumn),
    ...(included.length === 0 ? {} : { included }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
    slot,
    ...(unique === undefined ? {} : { unique }),
  }));
  return JSON.stringify(stored);
}

function storedColumn({ fieldId, descending, nullsFirst, operatorClass, collation }: IndexColumn): StoredColumn {
  return {
    'field-id': fieldId,
    ...(descending ? { descending } : {}),
    ...(nullsFirst === descending ? {} : { 'nulls-first': nullsFirst }),
    ...(operatorClass === undefined ? {} : { 'operator-class': operatorClass }),
    ...(collation === undefined ? {} : { collation }),
  };
}

function columnOf(stored: StoredColumn): IndexColumn {
  const { 'field-id': fieldId, descending = false, 'operator-class': operatorClass, collation } = stored;
  return {
    fieldId,
    descending,
    nullsFirst: stored['nulls-first'] ?? descending,
    ...(operatorClass === undefined ? {} : { operatorClass }),
    ...(collation === undefined ? {} : { collation }),
  };
}

/** Those whose columns are still there. @throws {SqlError} XX001 */
export function storedIndexes(metadata: TableMetadata, columns: readonly ColumnDef[]): readonly IndexDef[] {
  const text = metadata.properties?.[Property.indexes];
  if (text === undefined) return [];
  try {
    return (JSON.parse(text) as readonly StoredIndex[])
      .map(({ name, method, 'field-id': fieldId, columns: key, included = [], options = {}, slot, unique }) => ({
        name,
        method,
        columns: (key ?? [{ 'field-id': fieldId! }]).map(columnOf),
        included,
        options,
        slot,
        ...(unique === undefined ? {} : { unique }),
      }))
      .filter((index) => indexedFields(index).every((id) => columns.some(({ fieldId }) => fieldId === id)));
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
