/**
 * What a statement means, as data: the planner makes it from SQL text, gateway.ts carries it out.
 * Pure: the planner sees text, a catalog view and settings; it imports no engine and does no I/O.
 */
import type { AlterTable } from './alter-command.ts';
import type { Arbiters } from './arbiters.ts';
import type { CopiedQuery } from './copied-query.ts';
import type { OwnedSequence, SequenceDef, SequenceOptions } from '../sequence-def.ts';
import type { ColumnDefault, IndexShape, IndexToMake, Lsn, TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import type { SessionFunction } from './session-functions.ts';
import type { KeptColumns, WithPart } from './kept-columns.ts';
import type { CreateTableAs } from './create-table-as.ts';
import type { CurrentOf } from './current-of.ts';
import type { TemporaryView } from './temporary-view.ts';
import type { RowLock } from './locking.ts';
import type { RoleName, RoleStatement } from './role-statements.ts';
import type { SessionStatement } from './session-statements.ts';
import type { TransactionModes } from './settings.ts';

/** What the planner may ask about names. `table(null, n)` goes along the search path. */
export interface CatalogView {
  table(schema: string | null, name: string): TableDef | undefined;
  /** A view, where the path comes to no table of that name before. */
  view?(schema: string | null, name: string): ViewDef | undefined;
  hasSchema(name: string): boolean;
  /** A sequence, along the search path where `schema` is null. */
  sequence?(schema: string | null, name: string): SequenceDef | undefined;
  /** The sequence that a column owns. */
  ownedSequence?(tableUuid: string, fieldId: number): SequenceDef | undefined;
  readonly searchPath: readonly string[];
  readonly temporarySchema?: string;
  /** The search path puts the session's temporary schema before all others that are there. */
  readonly createsTemporary?: boolean;
}

/** One statement of a text. `position` is the offset of `text` in the whole, in characters, for error positions. */
export interface ParsedStatement {
  readonly text: string;
  readonly position: number;
  /** libpg-query's node: `{ SelectStmt: {…} }` and so on; null for an empty statement. */
  readonly node: unknown;
  /** Highest $n used. */
  readonly parameterCount: number;
  /** All of the message that it came in, which is what PostgreSQL shows of cursors and prepared statements. */
  readonly source?: string;
}

/** A parameter's value in PostgreSQL's text form with its type; text null is NULL. */
export interface ParameterValue {
  readonly typeOid: number;
  readonly text: string | null;
}

/** A table in a FROM list that is to be replaced by the scan of its units. */
export interface PlannedTable {
  readonly def: TableDef;
  readonly placeholder: string;
  readonly positions: boolean;
  /** Not its rows but its changes; `def` has the columns of those. */
  readonly feed?: ChangeFeed;
}

/** Until `lsn` is readable here, at most so long. */
export interface LsnWait {
  readonly lsn: Lsn;
  readonly timeoutMs: number;
}

/** arka.changes in FROM. */
export interface ChangeFeed {
  readonly table: TableDef;
  readonly since: { readonly kind: 'lsn'; readonly lsn: Lsn } | { readonly kind: 'parameter'; readonly index: number };
  /** Where it ends; left out: with the newest. */
  readonly to?: Lsn;
  /** Goes on with what comes. */
  readonly follow: boolean;
}

/** Bounds on a table's time column taken from the statement's AND-ed conditions: microseconds (date: days) since the epoch, both inclusive. */
export interface TimeRange {
  readonly from: number | null;
  readonly to: number | null;
}

/**
 * What the statement's AND-ed conditions say of one column: it compares so with one of `texts` (of several only by =), begins
 * with a text, is NULL or is not. Texts are such as the column type's input function reads, without the clock.
 */
export type ColumnFilter = { readonly fieldId: number } & (
  | { readonly kind: 'compare'; readonly operator: '=' | '<' | '>' | '<=' | '>='; readonly texts: readonly string[] }
  | { readonly kind: 'prefix'; readonly text: string }
  | { readonly kind: 'null'; readonly is: boolean }
);

/** A query with its parameters put in: ready for the engine. */
export interface RenderedQuery {
  /** DuckDB's SQL with placeholders. */
  readonly sql: string;
  /** One a planned table; null: no bound. */
  readonly timeRanges: readonly (TimeRange | null)[];
  /** Those of the planned table at a place. The conditions are in `sql` as well: files and rows that do not pass need not be read. */
  filters?(place: number): readonly ColumnFilter[];
  /** Set when the statement is `SELECT plain columns FROM t WHERE c1 = v1 AND c2 IN (…) …` and nothing else, with an index on one of them. */
  readonly indexed: IndexedRead | null;
  /** After which LSN a feed's changes are wanted. @throws {SqlError} 22004, 22P02 */
  since?(feed: ChangeFeed): Lsn;
}
/** `filters`: what the rows pass, and all of it; equality alone. */
export interface IndexedRead {
  readonly def: TableDef;
  readonly filters: readonly ColumnFilter[];
  readonly fieldIds: readonly number[];
}

/** Key values in key order, in text form (null: NULL, no row), and the field ids to return. */
export interface PointRead {
  readonly def: TableDef;
  readonly key: readonly (string | null)[];
  readonly fieldIds: readonly number[];
}

/** A SELECT, VALUES, WITH, or the rows of an UPDATE, DELETE, INSERT … SELECT. */
export interface QueryPlan {
  /** engine: DuckDB over `tables`. catalog: PostgreSQL itself in PGlite (no Arka table). */
  readonly route: 'engine' | 'catalog';
  readonly tables: readonly PlannedTable[];
  /** For the catalog: the statement's text, with Arka's own functions replaced by constants. */
  readonly text: string;
  /** Views of schema `arka` and stub views (pg_stat_activity, …) it reads, as schema.name. */
  readonly views: readonly string[];
  /** Set when Arka can describe it without PGlite: plain columns, constants, count(*) of one table. Names and types. */
  readonly described: readonly PlannedColumn[] | null;
  /** arka.wait_for_lsn in it: before anything else. */
  readonly waits?: readonly LsnWait[];
  /** Types of $n inferred by Arka where `described` is set (0: unknown). */
  readonly parameterOids: readonly number[];
  /** For the catalog: calls of sequences that are parameters of what runs. */
  readonly hidden?: HiddenCalls;
  /** The statement is `SELECT count(*) FROM t` of this table, and nothing else: how many rows are live is its answer. */
  readonly counts?: PlannedTable;
  /** For the catalog: constants alone, so that the first answer is that of all times. */
  readonly isConstant?: boolean;
  /** Columns that are calls of sequences or act on the session: `inner` runs, and they are carried out on its rows. */
  readonly calls?: ColumnCalls;
  /** For PostgreSQL itself to run where the engine has no way. Left out: it may not. */
  readonly copied?: () => CopiedQuery;
  /**
   * Set when the statement may be `SELECT plain columns FROM t WHERE k1 = v1 AND … [AND nothing else]` over the whole key.
   */
  readonly point?: KeyCondition;
  render(parameters: readonly ParameterValue[]): RenderedQuery;
}

export interface HiddenCalls {
  /** What runs; `text` is what PostgreSQL describes. */
  readonly sql: string;
  /** Their parameters come after so many. */
  readonly from: number;
  readonly calls: readonly Generated[];
}

export interface ColumnCalls {
  readonly columns: readonly CallColumn[];
  readonly inner: QueryPlan;
}

/** A column of the result: a column of the inner query, or a call whose arguments are `count` columns of it, from `at` on, as texts. */
export type CallColumn =
  | { readonly kind: 'pass'; readonly at: number }
  | {
      readonly kind: 'session';
      readonly function: SessionFunction;
      readonly label: string;
      readonly at: number;
      readonly count: number;
    }
  | {
      readonly kind: 'nextval' | 'currval' | 'lastval' | 'setval';
      /** Of a temporary sequence, which a read-only transaction may move. */
      readonly isTemporary: boolean;
      readonly label: string;
      readonly at: number;
      readonly count: number;
    };

export interface PlannedColumn {
  readonly name: string;
  readonly tableOid: number;
  readonly attnum: number;
  readonly typeOid: number;
  readonly typmod: number;
}

/** A row that a computed value reads: as it was, or as INSERT … ON CONFLICT proposed it. */
export type RowName = 'old' | 'excluded';

/** A value that main computes from rows by itself. `index` of a column is its place in the def. */
export type SetValue =
  | InsertValue
  | { readonly kind: 'column'; readonly row: RowName; readonly index: number }
  /** Of two values of one of the types int4, int8 and float8. */
  | { readonly kind: 'sum'; readonly negative: boolean; readonly left: SetValue; readonly right: SetValue };

/** The row that a statement is about, when its condition is the whole key and nothing else. */
export interface KeyCondition {
  readonly def: TableDef;
  readonly fieldIds: readonly number[];
  /** Parameters that are the key's values as they come, from 0 and in key order; null: something of it is no plain parameter. */
  readonly places: readonly number[] | null;
  /** Null: the values are not surely those of a key. */
  read(parameters: readonly ParameterValue[]): PointRead | null;
}

/** The new row of an UPDATE by key: the row is found without a query. */
export interface NewRow {
  /** One value a column; null: the plan computes it. */
  readonly values: readonly SetValue[] | null;
  /** Field ids of the old row that are read. */
  readonly needed: readonly number[];
  /** The placeholder `old`, with positions, stands for the row; gives its position, then the new row. */
  readonly plan: QueryPlan;
  readonly old: string;
}

/** ON CONFLICT. */
export type Conflict =
  | { readonly action: 'nothing'; readonly arbiters: Arbiters }
  | {
      readonly action: 'update';
      readonly arbiters: Arbiters;
      /** Every column but the key's takes its proposed value, whatever the row was. */
      readonly replaces: boolean;
      /** Field ids of the old row that are read. */
      readonly needed: readonly number[];
      /** The new row, one value a column, and no condition; null: the plan computes it. */
      readonly values: readonly SetValue[] | null;
      /** A key may change. */
      readonly renames: boolean;
      /** Over rows at hand: the placeholder `old` with positions, and `excluded` beside it, row by row. Gives the position, then the new row. */
      readonly plan: QueryPlan;
      readonly old: string;
      readonly excluded: string;
    };

/** How PostgreSQL itself says what an UPDATE, DELETE or MERGE does. */
export interface CopiedChange {
  /** What is assigned to a row, column by column, then the row as it is; over copies of rows. */
  readonly query: QueryPlan;
  /** Its rows as those of a table, for which `rows` stands. */
  readonly def: TableDef;
  readonly rows: string;
  /** Gives what the statement's own plan gives. */
  readonly plan: QueryPlan;
}

export type MergeAction = 'update' | 'delete' | 'insert' | 'nothing';

/** RETURNING of a statement that writes. */
export interface Returning {
  /** What it returns, where Arka can say it: plain columns. */
  readonly described: readonly PlannedColumn[] | null;
  /** Indexes in the def, when it names plain columns only. */
  readonly columns: readonly number[] | null;
  /** A query in which the placeholder `rows` stands for the rows written. */
  readonly plan: QueryPlan;
  readonly rows: string;
  /** Tables of FROM or USING that it names: their columns come last in the rows of the statement's query, and stand beside the rows written. */
  readonly joined: readonly JoinedTable[];
  /** Its rows as those of a table, for WITH. */
  readonly kept: () => KeptColumns;
}

export interface JoinedTable {
  readonly def: TableDef;
  readonly alias: string;
  /** Its placeholder. */
  readonly rows: string;
}

/**
 * One value of INSERT … VALUES. A constant's text goes through the column type's input function. `position` 0: a number
 * written as one, whose errors are those of a cast and have no position.
 */
export type InsertValue =
  | { readonly kind: 'text'; readonly text: string; readonly position: number }
  | { readonly kind: 'null' }
  | { readonly kind: 'default' }
  | { readonly kind: 'parameter'; readonly index: number }
  | { readonly kind: 'generated'; readonly value: Generated }
  | { readonly kind: 'now' };

export interface DefaultExpression {
  readonly fieldId: number;
  readonly sql: string;
  /** From 1, or undefined. */
  readonly position: number | undefined;
}

/** What is worked out when the row is written. */
export type Generated =
  | Exclude<ColumnDefault, { readonly kind: 'constant' }>
  | { readonly kind: 'currval'; readonly sequence: number }
  | { readonly kind: 'lastval' };

export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: string;
  readonly null: string;
  /** `match`: the names in it are to be those of the columns. */
  readonly header: boolean | 'match';
  readonly quote: string;
  readonly escape: string;
  /** The table must be new in the transaction, or empty. */
  readonly freeze: boolean;
  /** Of the data, by PostgreSQL's name; null: the client's. */
  readonly encoding: string | null;
}

export interface CopyInOptions extends CopyOptions {
  /** CSV: fields by place whose quoted NULL marker is NULL, and those whose bare one is not. */
  readonly forceNull: ReadonlySet<number> | null;
  readonly forceNotNull: ReadonlySet<number> | null;
}

export interface CopyOutOptions extends CopyOptions {
  readonly header: boolean;
  /** CSV: columns whose values are always quoted. */
  readonly forceQuote: 'all' | readonly string[];
}

/** WHERE of COPY FROM: the plan gives the positions to keep of the rows that the placeholder `rows` stands for. */
export interface CopyFilter {
  readonly plan: QueryPlan;
  readonly rows: string;
}

/** CREATE TABLE, before uuid and OID are given: those are '' and 0. */
export type TableDraft = TableDef;

/** CREATE INDEX, before its name is chosen where none is given (null). */
export interface IndexDraft {
  readonly tableUuid: string;
  readonly name: string | null;
  readonly index: IndexShape;
}

export type TransactionStatement =
  | { readonly kind: 'begin'; readonly tag: 'BEGIN' | 'START TRANSACTION'; readonly modes: TransactionModes }
  | { readonly kind: 'commit' | 'rollback'; readonly chain: boolean }
  | { readonly kind: 'savepoint' | 'release' | 'rollbackTo'; readonly name: string }
  /** `session`: for the transactions to come. */
  | { readonly kind: 'setTransaction'; readonly modes: TransactionModes; readonly session: boolean };

/** Rows that subqueries of the statement lock before it runs. */
export type NestedLocks = readonly RowLock[];

export type Statement =
  | { readonly kind: 'empty' }
  | {
      /** Parts that write, and a statement that may read what they return. */
      readonly kind: 'with';
      readonly locks?: NestedLocks;
      /** In their order, before the main statement. */
      readonly before: readonly WithPart[];
      /** Those that nothing reads: after it, as PostgreSQL does it. */
      readonly after: readonly WithPart[];
      readonly main: Extract<Statement, { kind: 'query' | 'insert' | 'update' | 'delete' | 'merge' }>;
      /** Of the whole, for PostgreSQL's description. */
      readonly text: string;
    }
  | { readonly kind: 'query'; readonly plan: QueryPlan; readonly lock?: RowLock; readonly locks?: NestedLocks }
  | {
      readonly kind: 'insert';
      readonly locks?: NestedLocks;
      readonly def: TableDef;
      /** Field ids in the order of the values. Columns not named get their default. */
      readonly fieldIds: readonly number[];
      readonly source:
        | { readonly kind: 'values'; readonly rows: readonly (readonly InsertValue[])[] }
        | { readonly kind: 'query'; readonly plan: QueryPlan };
      /** Types of $n: those of the target columns. Empty for a query source; null: PostgreSQL says them. */
      readonly parameterOids: readonly number[] | null;
      /** Null: a row with a key that is there is an error. */
      readonly conflict: Conflict | null;
      /** Columns not given that another value than their default goes to. */
      readonly generated?: readonly { readonly fieldId: number; readonly value: Generated }[];
      readonly returning: Returning | null;
    }
  | {
      readonly kind: 'update';
      readonly locks?: NestedLocks;
      readonly def: TableDef;
      /**
       * Rows: __unit, __position, then every column of the new row in def order, cast to the column's DuckDB type, then, where the
       * new row does not say it, the old row's name.
       */
      readonly plan: QueryPlan;
      /** For what the engine has no way; null: neither has PostgreSQL. */
      readonly copied: (() => CopiedChange) | null;
      /** Null: the condition is another. */
      readonly point: KeyCondition | null;
      /** Where there is a `point`. */
      readonly byKey: NewRow | null;
      /** The key may change. */
      readonly renames: boolean;
      /** Columns that stay as they are, by their places in the def. */
      readonly kept: ReadonlySet<number>;
      /** Field ids of columns whose defaults are made when the row is written. */
      readonly generated: readonly number[];
      /** Its condition: then the rest says what is asked and returned alone. */
      readonly currentOf?: CurrentOf;
      readonly returning: Returning | null;
    }
  | {
      readonly kind: 'delete';
      readonly locks?: NestedLocks;
      readonly def: TableDef;
      /** Rows: __unit, __position, then the key columns in key order; with RETURNING then every column. */
      readonly plan: QueryPlan;
      readonly copied: (() => CopiedChange) | null;
      readonly point: KeyCondition | null;
      readonly currentOf?: CurrentOf;
      readonly returning: Returning | null;
    }
  | {
      readonly kind: 'merge';
      readonly locks?: NestedLocks;
      readonly def: TableDef;
      /** Rows: unit and position (-1: none is matched), the number of the WHEN, the new row, the old row's name. */
      readonly plan: QueryPlan;
      readonly copied: (() => CopiedChange) | null;
      /** Of each WHEN. */
      readonly actions: readonly MergeAction[];
      /** Of each WHEN the fields of new rows that the query leaves out: their defaults are made when the row is written. */
      readonly generated: readonly (readonly number[])[];
      /** A row may get another key. */
      readonly renames: boolean;
      readonly returning: null;
    }
  | {
      readonly kind: 'truncate';
      readonly defs: readonly TableDef[];
      /** Sequences that their columns own begin anew. */
      readonly restarts: boolean;
    }
  | {
      readonly kind: 'copyFrom';
      readonly def: TableDef;
      readonly fieldIds: readonly number[];
      readonly filter: CopyFilter | null;
      readonly options: CopyInOptions;
    }
  | { readonly kind: 'copyTo'; readonly plan: QueryPlan; readonly options: CopyOutOptions }
  | {
      readonly kind: 'createTable';
      readonly draft: TableDraft;
      readonly ifNotExists: boolean;
      /** Of serial and identity columns, whose defaults name sequence 0. */
      readonly sequences: readonly OwnedSequence[];
      /** Defaults that PostgreSQL is to work out; they are NULL in the draft. */
      readonly expressions: readonly DefaultExpression[];
      /** Tables whose columns it has by LIKE. */
      readonly likes?: readonly TableDef[];
      /** The indexes of its UNIQUE constraints, and those that it has by LIKE. */
      readonly indexes?: readonly IndexToMake[];
    }
  | CreateTableAs
  | {
      readonly kind: 'createSequence';
      readonly schema: string;
      readonly name: string;
      readonly options: SequenceOptions;
      readonly ifNotExists: boolean;
    }
  | {
      readonly kind: 'alterSequence';
      readonly name: QualifiedName;
      readonly options: SequenceOptions;
      readonly ifExists: boolean;
    }
  | {
      readonly kind: 'renameSequence';
      readonly tag: 'ALTER SEQUENCE' | 'ALTER TABLE';
      readonly name: QualifiedName;
      readonly ifExists: boolean;
      /** What is not given stays. */
      readonly to: { readonly schema?: string; readonly name?: string };
    }
  | {
      readonly kind: 'dropSequence';
      readonly names: readonly QualifiedName[];
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  | {
      readonly kind: 'dropTable';
      readonly names: readonly QualifiedName[];
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  /** CREATE, DROP and ALTER of views: PostgreSQL says what becomes of them. */
  | {
      readonly kind: 'defineView';
      readonly tag: string;
      readonly sql: string;
      /** CREATE VIEW of one that is temporary. */
      readonly temporary?: TemporaryView;
    }
  | { readonly kind: 'createIndex'; readonly draft: IndexDraft; readonly ifNotExists: boolean }
  | { readonly kind: 'dropIndex'; readonly names: readonly QualifiedName[]; readonly ifExists: boolean }
  | {
      readonly kind: 'reindex';
      readonly what: 'index' | 'table';
      readonly named: QualifiedName;
      readonly concurrently: boolean;
    }
  /** `schema` null: all. */
  | { readonly kind: 'reindexAll'; readonly schema: string | null }
  | AlterTable
  | {
      readonly kind: 'renameTable';
      readonly table: QualifiedName;
      readonly ifExists: boolean;
      /** What is not given stays. */
      readonly to: { readonly schema?: string; readonly name?: string };
    }
  | { readonly kind: 'comment'; readonly statement: AlterTable }
  | {
      readonly kind: 'renameIndex';
      readonly index: QualifiedName;
      readonly ifExists: boolean;
      readonly to: string;
    }
  | { readonly kind: 'commentOnIndex'; readonly index: QualifiedName; readonly comment: string | null }
  /** Of a schema, the database or a role: `schema s`, `database d`, `role r`. */
  | {
      readonly kind: 'commentOnShared';
      readonly key: string;
      readonly comment: string | null;
      readonly sql: string;
    }
  | {
      readonly kind: 'createSchema';
      readonly name: string;
      readonly ifNotExists: boolean;
      /** AUTHORIZATION; null: the current user. */
      readonly owner: RoleName | null;
    }
  | { readonly kind: 'renameSchema'; readonly name: string; readonly to: string }
  | {
      readonly kind: 'dropSchema';
      readonly names: readonly string[];
      readonly ifExists: boolean;
      readonly cascade: boolean;
    }
  | TransactionStatement
  | RoleStatement
  /** `mode` by PostgreSQL's number. */
  | {
      readonly kind: 'lockTable';
      readonly defs: readonly TableDef[];
      readonly mode: number;
      readonly nowait: boolean;
    }
  | SessionStatement
  /** Accepted and without effect here. `tag` is PostgreSQL's. */
  | {
      readonly kind: 'accepted';
      readonly tag: string;
      readonly notices?: readonly { readonly code: string; readonly message: string }[];
    }
  | { readonly kind: 'checkpoint' }
  /** `defs` null: every table. */
  | {
      readonly kind: 'vacuum';
      readonly defs: readonly TableDef[] | null;
      readonly full: boolean;
      readonly verbose: boolean;
    }
  /** arka.flush or arka.commit of a table. */
  | { readonly kind: 'call'; readonly procedure: 'flush' | 'commit'; readonly def: TableDef }
  | {
      readonly kind: 'explain';
      readonly analyze: boolean;
      readonly format: 'text' | 'json';
      readonly inner: Statement;
    };

export interface QualifiedName {
  readonly schema: string | null;
  readonly name: string;
}
