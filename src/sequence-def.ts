/**
 * A sequence as every layer sees it: plain data that crosses threads and lives, as JSON, in the catalog's properties of its
 * schema and, when a column owns it, in the table's property `arka.sequences` as well.
 *
 * Numbers are texts: they are 64 bits wide.
 */

export interface SequenceDef {
  /** Given out by Arka, as those of tables. */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Of smallint, integer or bigint. */
  readonly typeOid: number;
  readonly start: string;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cache: number;
  readonly cycle: boolean;
  readonly owner: SequenceOwner | null;
  /** UNLOGGED, as PostgreSQL's catalogs show it. Left out: as the table that owns it. */
  readonly unlogged?: boolean;
}

/** The column that a sequence is dropped with. */
export interface SequenceOwner {
  readonly tableUuid: string;
  readonly fieldId: number;
  /** It is what the column is an identity column by. */
  readonly isIdentity: boolean;
}

/**
 * How far a sequence has come. As stored: every value up to `last`, in the direction of the increment, may have been given
 * out; none has when `isCalled` is false, and `last` is the first to be given out.
 */
export interface SequenceState {
  readonly last: string;
  readonly isCalled: boolean;
  /** What `log_cnt` comes from; left out: it is 0. */
  readonly logged?: LoggedValues;
}

/** The value at which PostgreSQL would have written values ahead, how often it fetched some since, and how many are left: `log_cnt`. */
export interface LoggedValues {
  readonly from: string;
  readonly fetches: number;
  readonly left: number;
}

export interface StoredSequence {
  readonly def: SequenceDef;
  readonly state: SequenceState;
}

/** What the options of a statement say; undefined: nothing, null: NO MINVALUE and the like. */
export interface SequenceOptions {
  readonly typeOid?: number;
  readonly start?: bigint;
  readonly increment?: bigint;
  readonly min?: bigint | null;
  readonly max?: bigint | null;
  readonly cache?: number;
  readonly cycle?: boolean;
  readonly unlogged?: boolean;
  /** RESTART; null: from the start value. */
  readonly restart?: bigint | null;
  /** OWNED BY; null: NONE. */
  readonly ownedBy?: { readonly schema: string | null; readonly table: string; readonly column: string } | null;
  /** SEQUENCE NAME of an identity column. */
  readonly name?: { readonly schema: string | null; readonly name: string };
}

/** A sequence that a new column comes with. */
export interface OwnedSequence {
  readonly fieldId: number;
  readonly isIdentity: boolean;
  readonly options: SequenceOptions;
}
