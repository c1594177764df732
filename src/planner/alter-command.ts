/** ALTER TABLE as data: its subcommands, which are carried out over the definition that there is by then (altered-def.ts). */
import type { Node } from 'libpg-query';
import type { CheckDef } from '../check-def.ts';
import type { OwnedSequence, SequenceOptions } from '../sequence-def.ts';
import type { ColumnDef, ColumnDefault, IndexShape, PgType, TableDef } from '../table-def.ts';
import type { DefaultExpression, QualifiedName } from './plan.ts';

/** One subcommand of ALTER TABLE. Columns are called by name: they are looked for when it is carried out. */
export type AlterCommand =
  | {
      readonly kind: 'addColumn';
      readonly column: ColumnDef;
      readonly ifNotExists: boolean;
      /** The default is to be worked out by PostgreSQL. */
      readonly expression: DefaultExpression | null;
      /** Of a generated column. */
      readonly generation?: Node;
      /** Of a serial or identity column: until it is made. */
      readonly sequence: Pick<OwnedSequence, 'isIdentity' | 'options'> | null;
    }
  | { readonly kind: 'dropColumn'; readonly name: string; readonly ifExists: boolean; readonly cascade: boolean }
  | { readonly kind: 'renameColumn'; readonly name: string; readonly to: string }
  | { readonly kind: 'renameConstraint'; readonly name: string; readonly to: string }
  /** `sequence`: its OID, once it is made. */
  | {
      readonly kind: 'addIdentity';
      readonly name: string;
      readonly identity: 'always' | 'byDefault';
      readonly options: SequenceOptions;
      readonly sequence: number | null;
    }
  /** Of an identity column; null: it is none any more, and its sequence goes. */
  | {
      readonly kind: 'identity';
      readonly name: string;
      readonly identity: 'always' | 'byDefault' | null;
      readonly ifExists: boolean;
    }
  /** Of the table, or of what has the name. */
  | {
      readonly kind: 'comment';
      readonly of: 'table' | 'column' | 'index' | 'constraint';
      readonly name: string;
      readonly comment: string | null;
    }
  | { readonly kind: 'dropConstraint'; readonly name: string; readonly ifExists: boolean }
  | {
      readonly kind: 'type';
      readonly name: string;
      readonly type: PgType;
      readonly position: number | undefined;
      /** `isItself`: the column, or its cast to the type. */
      readonly using: { readonly sql: string; readonly isItself: boolean } | null;
    }
  /** The column `by` takes the place of the other, with its name and that default. */
  | { readonly kind: 'supersede'; readonly name: string; readonly by: string; readonly default: ColumnDefault | null }
  /** Null: none any more. */
  | { readonly kind: 'default'; readonly name: string; readonly value: AlteredDefault | null }
  /** Of a generated column: its values stay, and it is one like any other. */
  | { readonly kind: 'dropExpression'; readonly name: string; readonly ifExists: boolean }
  | { readonly kind: 'notNull'; readonly name: string; readonly notNull: boolean }
  | { readonly kind: 'addKey'; readonly key: NewKey }
  /** `column`: added with it; where that is there already, so is this. */
  | { readonly kind: 'addCheck'; readonly of: (def: TableDef) => CheckDef; readonly column?: string }
  | { readonly kind: 'persistence'; readonly isUnlogged: boolean }
  /** `name` null: it is chosen. `column`: added with it; where that is there already, so is this. */
  | {
      readonly kind: 'addUnique';
      readonly name: string | null;
      readonly of: (def: TableDef) => IndexShape;
      readonly column?: string;
    }
  | { readonly kind: 'set'; readonly options: ReadonlyMap<string, string> }
  | { readonly kind: 'reset'; readonly names: readonly string[] };

/** A primary key for columns that there are. @throws {SqlError} 42703, 42701, 0A000 */
export interface NewKey {
  readonly names: readonly string[] | null;
  apply(columns: readonly ColumnDef[]): Pick<TableDef, 'key' | 'keyName' | 'columns'>;
}

export interface AlteredDefault {
  /** Null: PostgreSQL is to work it out, as `sql` says it. */
  readonly of: (column: ColumnDef) => ColumnDefault | null;
  readonly sql: string;
  readonly position: number | undefined;
}

export interface AlterTable {
  readonly kind: 'alterTable';
  readonly table: QualifiedName;
  readonly ifExists: boolean;
  readonly commands: readonly AlterCommand[];
}
