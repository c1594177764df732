/** What a transaction's definitions say of a table that they change, and all that they leave behind at COMMIT. */
import type { Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import type { Sequence } from './sequence.ts';

/** Another definition of a table. */
export interface Redefinition {
  readonly before: TableDef;
  readonly def: TableDef;
  /** Of `before`, where it is another one now. */
  readonly specId?: number | null;
  /** Properties of the Iceberg table that are to go. */
  readonly removed?: readonly string[];
  /** Gives the table its old definition. */
  readonly back: () => void;
  /** Lets go what `back` would need. */
  readonly kept?: () => void;
}

/** A table of the database that the transaction has defined otherwise. */
export interface AlteredHere {
  readonly table: Table;
  /** Names of properties that are to go. */
  readonly removed: readonly string[];
  /** Field ids of columns that its rows get values in: NULL until the transaction's rows are there. */
  readonly filled: readonly number[];
}

/** What the transaction leaves behind. */
export interface SchemaResult {
  readonly newSchemas: readonly string[];
  readonly droppedSchemas: readonly string[];
  readonly newTables: readonly Table[];
  readonly alteredTables: readonly AlteredHere[];
  readonly droppedTables: readonly Table[];
  readonly newSequences: readonly Sequence[];
  readonly alteredSequences: readonly Sequence[];
  readonly droppedSequences: readonly Sequence[];
  readonly restartedSequences: readonly Sequence[];
  /** Each is among the new ones and the dropped ones, too. */
  readonly renamedSchemas: readonly { readonly name: string; readonly to: string }[];
  readonly storedViews: readonly ViewDef[];
  readonly removedViews: readonly ViewDef[];
  readonly comments: readonly (readonly [string, string | null])[];
}
