/**
 * The definition of a table as every layer sees it: plain data that crosses threads and lives, as JSON, in
 * the Iceberg table's properties (V6: DATA_DIR is a cache).
 *
 * Columns are known by field id everywhere below SQL: a name or an ordinal may change, a field id never.
 */

import type { CheckDef, GenerationDef } from './check-def.ts';

/** A PostgreSQL type: OID of pg_type and typmod (-1: none; varchar(n): n + 4; numeric(p,s): ((p << 16) | s) + 4). */
export interface PgType {
  readonly oid: number;
  readonly typmod: number;
}

/**
 * `sql` is what `\d` shows; `text` is the constant in PostgreSQL's text form, NULL for no value. Whatever is no constant is
 * evaluated for each row when it is written: the log holds values. The SQL of `nextval` is made from the sequence's name.
 */
export type ColumnDefault =
  | { readonly kind: 'constant'; readonly sql: string; readonly text: string | null }
  | { readonly kind: 'now'; readonly sql: string; readonly shift?: NowShift }
  | { readonly kind: 'nextval'; readonly sequence: number }
  | { readonly kind: 'function'; readonly sql: string; readonly function: DefaultFunction };

/** `now`: as the text of a column that is no time. */
export type DefaultFunction = 'gen_random_uuid' | 'random' | 'now' | 'clock_timestamp' | 'current_user';

/** now() in another zone (AT TIME ZONE), with an interval added. */
export interface NowShift {
  readonly zone: string | null;
  readonly months: number;
  readonly days: number;
  readonly micros: number;
}

export interface ColumnDef {
  readonly name: string;
  /** Iceberg field id, unique in the table for ever. */
  readonly fieldId: number;
  /** PostgreSQL's attnum, from 1, never reused. */
  readonly attnum: number;
  readonly type: PgType;
  /** Of an array: the field id of its elements. */
  readonly elementId?: number;
  readonly notNull: boolean;
  readonly default: ColumnDefault | null;
  /** GENERATED … AS IDENTITY; its default is then `nextval`. */
  readonly identity?: 'always' | 'byDefault';
  /** Its value is worked out of the row's others whenever the row is written; it has no default. */
  readonly generated?: GenerationDef;
  /** COMMENT ON COLUMN, and `doc` of the Iceberg field. */
  readonly comment?: string;
}

export type TransformName = 'identity' | 'bucket' | 'truncate' | 'year' | 'month' | 'day' | 'hour' | 'void';

/** One field of the Iceberg partition spec. `fieldId` counts from 1000; `arg` is N of bucket, W of truncate, else 0. */
export interface PartitionField {
  readonly sourceId: number;
  readonly fieldId: number;
  readonly name: string;
  readonly transform: TransformName;
  readonly arg: number;
}

export interface SortField {
  readonly sourceId: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** A column of an index's key. `operatorClass`, `collation`: as given, where they are not those of its type. */
export interface IndexColumn {
  readonly fieldId: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
  readonly operatorClass?: string;
  readonly collation?: string;
}

/** Made by CREATE UNIQUE INDEX; or it belongs to a UNIQUE constraint, which has its name. */
export type Uniqueness = 'index' | 'constraint';

/** An index made by CREATE INDEX, or by a UNIQUE constraint. `included`: field ids. `slot`: its OID, counted from its table's. */
export interface IndexDef {
  readonly name: string;
  readonly method: 'btree' | 'hash';
  readonly columns: readonly IndexColumn[];
  readonly included: readonly number[];
  /** Storage parameters, as given: PostgreSQL's catalogs show them. */
  readonly options: Readonly<Record<string, string>>;
  readonly slot: number;
  /** No two rows have the same values in its columns, but for NULL. Left out: they may. */
  readonly unique?: Uniqueness;
}

/** The index of a UNIQUE constraint of that name. */
export const uniqueConstraint = ({ indexes }: Pick<TableDef, 'indexes'>, name: string): IndexDef | undefined =>
  indexes.find((index) => index.unique === 'constraint' && index.name === name);

/** All of an index but what it is called and where it is kept. */
export type IndexShape = Omit<IndexDef, 'name' | 'slot'>;

/** An index that is to be made; `name` null: it is chosen then. */
export interface IndexToMake {
  readonly name: string | null;
  readonly index: IndexShape;
}

/** Field ids of all columns that an index has. */
export const indexedFields = ({ columns, included }: IndexShape): readonly number[] => [
  ...columns.map(({ fieldId }) => fieldId),
  ...included,
];

/**
 * OIDs that Arka gives out and keeps (PGlite has them imposed): a block of 16 per table.
 * `table` = the block's first; +1 row type, +2 array type, +3 toast table, +4 toast index, +5 primary key index,
 * from +6 on the indexes made by CREATE INDEX; of these a table with more has further blocks.
 */
export const OIDS_PER_TABLE = 16;
export const FIRST_INDEX_SLOT = 6;
/** The first OID of tables; those below belong to PostgreSQL and to the objects of the catalog image. */
export const FIRST_TABLE_OID = 20_000;
/** PostgreSQL's counter goes on in steps of 8192 after a restart: the image's own views and types are here. */
export const IMAGE_OIDS = { first: 24_576, last: 32_767 };

/** Blocks begin at multiples of their size. */
export const blockOf = (oid: number): number => oid - (oid % OIDS_PER_TABLE);

/** Behind all OIDs that a table has. */
export const oidsEnd = ({ oid, indexes }: Pick<TableDef, 'oid' | 'indexes'>): number =>
  Math.max(oid, ...indexes.map(({ slot }) => blockOf(oid + slot))) + OIDS_PER_TABLE;

/** Where a table's block may begin, from `oid` on. */
export const freeOid = (oid: number): number =>
  oid + OIDS_PER_TABLE > IMAGE_OIDS.first && oid <= IMAGE_OIDS.last ? IMAGE_OIDS.last + 1 : oid;

export interface TableDef {
  /** The Iceberg table's uuid. The log and manifests name tables by it. */
  readonly uuid: string;
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Iceberg schema id; rises with each change of columns. */
  readonly schemaId: number;
  readonly columns: readonly ColumnDef[];
  /** Field ids of the primary key, in key order; empty for a keyless table. */
  readonly key: readonly number[];
  /** Name of the primary key constraint; '' without a key. */
  readonly keyName: string;
  readonly partition: readonly PartitionField[];
  readonly sort: readonly SortField[];
  /** Field id of the column for time pruning and min_time/max_time, or null. */
  readonly timeColumn: number | null;
  readonly onConflict: 'error' | 'upsert';
  /** CHECK constraints; left out: none. */
  readonly checks?: readonly CheckDef[];
  readonly indexes: readonly IndexDef[];
  /** The highest numbers that columns ever had, where those that are there do not say it: numbers are not given twice. */
  readonly lastColumn?: { readonly fieldId: number; readonly attnum: number };
  /** COMMENT ON TABLE, and the table's property `comment`. */
  readonly comment?: string;
  /** Of constraints and indexes: `constraint NAME`, `index NAME`. */
  readonly comments?: Readonly<Record<string, string>>;
  /** It is temporary: its session's alone, gone with it; and what the end of a transaction does to it. Left out: it is permanent. */
  readonly onCommit?: OnCommit;
  /** UNLOGGED, as PostgreSQL's catalogs show it; nothing else follows from it here. */
  readonly unlogged?: true;
  /** Properties given in WITH that Iceberg or a later version understands, as given. */
  readonly options: Readonly<Record<string, string>>;
}

export type OnCommit = 'preserve' | 'delete' | 'drop';

/** Where a session has its temporary tables: nobody else's names lead there. */
export const temporarySchema = (session: number): string => `pg_temp_${session}`;
export const isTemporarySchema = (name: string): boolean => name.startsWith('pg_temp_');
/** What PGlite calls such a schema while something is made in it. */
export const OPEN_TEMPORARY_SCHEMA = 'arka temporary';

/** A definition of which nothing but names is known. */
export function unknownDef(uuid: string, schema: string, name: string): TableDef {
  return {
    uuid,
    oid: 0,
    schema,
    name,
    schemaId: 0,
    columns: [],
    key: [],
    keyName: '',
    partition: [],
    sort: [],
    timeColumn: null,
    onConflict: 'error',
    indexes: [],
    options: {},
  };
}

/** Field ids of what names a row (C3): its key, in a table without one all of it. */
export function nameFields(def: TableDef): readonly number[] {
  return def.key.length > 0 ? def.key : def.columns.map((column) => column.fieldId);
}

/** The highest field id and attnum that a column of the table ever had. */
export function lastColumn(def: TableDef): { readonly fieldId: number; readonly attnum: number } {
  return {
    fieldId: Math.max(
      def.lastColumn?.fieldId ?? 0,
      ...def.columns.map((column) => Math.max(column.fieldId, column.elementId ?? 0)),
    ),
    attnum: Math.max(def.lastColumn?.attnum ?? 0, ...def.columns.map((column) => column.attnum)),
  };
}

/** A log sequence number: dense from 1 in one log. A double is exact to 2^53: 285 years at 1M/s. */
export type Lsn = number;
