/**
 * PGlite (PostgreSQL in WebAssembly) as Arka uses it: it describes statements, answers pg_catalog and
 * information_schema, runs statements that read no Arka table, and others over copies of rows. It holds definitions; rows go with the
 * statement that they came with.
 *
 * Served by `src/threads/catalog.ts` (a worker started at the first need, stopped when idle) from an image made at
 * build time. One session inside (M-7): search_path and settings travel with each request.
 */
import type { SequenceDef, StoredSequence } from '../sequence-def.ts';
import type { TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import type { ResultColumn } from '../types/result-column.ts';

export interface SessionContext {
  /** The current user, where its rights count: left out, it is the superuser inside. */
  readonly role?: string;
  readonly searchPath: readonly string[];
  /** With the session's styles (`types/output-styles.ts`). */
  readonly timeZone: string;
}

export interface Description {
  readonly parameterOids: readonly number[];
  /** Null: no rows. Table OIDs and attnums are Arka's. */
  readonly columns: readonly ResultColumn[] | null;
}

export interface CatalogQuery {
  readonly sql: string;
  readonly parameterOids: readonly number[];
  readonly values: readonly (Uint8Array | null)[];
  readonly formats: readonly (0 | 1)[];
  readonly resultFormats: readonly (0 | 1)[];
  readonly context: SessionContext;
  /** How far sequences have come, where the statement may ask. */
  readonly sequences?: readonly StoredSequence[];
  /** Sizes and counts of tables, where the statement may ask. */
  readonly facts?: RelationFacts;
  /** Rows for the stub views of schema `arka` and others that the statement reads: view name → rows of text values. */
  readonly views: readonly {
    readonly schema: string;
    readonly name: string;
    readonly rows: readonly (readonly (string | null)[])[];
  }[];
  /** Rows of tables that the statement reads. */
  readonly copies?: RowCopies;
}

/**
 * Rows for tables of the mirror: CopyData messages of COPY's text format, each a line of the table's number in `tables` and then the
 * columns of all tables one after another, NULL where they are another's.
 */
export interface RowCopies {
  readonly tables: readonly TableDef[];
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

export interface RelationFacts {
  readonly tables: readonly TableFacts[];
  /** Of all tables. */
  readonly bytes: number;
  /** It asks for columns of pg_class. */
  readonly inClass: boolean;
  /** It asks which tables are temporary. */
  readonly persistence: boolean;
}

export interface TableFacts {
  readonly oid: number;
  readonly live: number;
  readonly dead: number;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly bytes: number;
}

export interface CatalogResult {
  readonly columns: readonly ResultColumn[] | null;
  /** Complete DataRow messages. */
  readonly messages: Uint8Array;
  readonly rows: number;
  readonly tag: string;
}

export interface CatalogContents {
  readonly schemas: readonly string[];
  readonly tables: readonly TableDef[];
  readonly sequences?: readonly SequenceDef[];
  readonly views?: readonly ViewDef[];
  /** Of schemas, the database and roles. */
  readonly comments?: readonly (readonly [string, string])[];
  /** Roles and rights as `rights/roles.ts` writes them. */
  readonly roles?: string;
}

/** A definition to be tried (view-trial.ts). */
export interface TrialRequest {
  readonly sql: string;
  readonly context: SessionContext;
  /** Of a view that it makes. */
  readonly oid: number;
  /** The session's schema of what is temporary, where something may be made there; null: it is not. */
  readonly temporary: string | null;
}

export interface TrialResult {
  /** All there are after it. */
  readonly views: readonly ViewDef[];
  /** OIDs of those that PostgreSQL had before it. */
  readonly known: readonly number[];
  readonly notices: readonly { readonly code: string; readonly message: string; readonly detail?: string }[];
}

export type CatalogApi = {
  /** First call: restores the image and mirrors the definitions. */
  open(contents: CatalogContents): Promise<void>;
  /** Definitions after DDL: drops what is gone, adds what is new, by uuid and schema id. */
  mirror(contents: CatalogContents): Promise<void>;
  /** Parses and describes one statement; errors are PostgreSQL's own, with position. */
  describe(request: {
    readonly sql: string;
    readonly parameterOids: readonly number[];
    readonly context: SessionContext;
  }): Promise<Description>;
  /** Runs one statement in a transaction that is rolled back (nothing a client sends may change the mirror). */
  query(request: CatalogQuery): Promise<CatalogResult>;
  /** What a definition makes of the views; nothing of it stays. */
  trial(request: TrialRequest): Promise<TrialResult>;
  shutdown(argument: null): Promise<void>;
};
