/**
 * Definitions as DDL for PGlite: schemas and tables under Arka's OIDs and column numbers.
 *
 * The session runs in PostgreSQL's binary upgrade mode, which takes OIDs from `binary_upgrade_set_next_…` functions
 * (renamed by `sql/36-refused.sql`) instead of its counter. A table's block (see OIDS_PER_TABLE): heap, row type, array type, TOAST table, TOAST index,
 * key index, further indexes. Column numbers that are missing were dropped: a placeholder column is made and dropped again.
 */
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import { lastColumn, OIDS_PER_TABLE, type ColumnDef, type IndexDef, type PgType, type TableDef } from '../table-def.ts';
import { invariant } from '../errors.ts';
import type { SequenceDef } from '../sequence-def.ts';
import { columnTypeInfo, elementOf, numericModifier, Oid } from '../types/pg-type.ts';
import type { CatalogContents } from './catalog-api.ts';
import type { ViewDef } from '../view-def.ts';
import { sharedCommentSteps, tableCommentsSql, type SharedComment } from './mirror-comments.ts';
import { viewSteps, type ViewSteps } from './mirror-views.ts';
import { attachSequencesSql, defaultSql, ownedSequencesSql, sequencesOf } from './mirror-sequences.ts';

/** What PGlite holds now. */
export interface Mirrored {
  readonly schemas: Set<string>;
  /** By uuid. */
  readonly tables: Map<string, TableDef>;
  /** Those that no column owns, and those that tables were made with, by OID. */
  sequences: readonly SequenceDef[];
  /** By OID. */
  readonly views: Map<number, ViewDef>;
  readonly comments: Map<string, string>;
  /** Roles and rights; null: not yet. */
  roles: string | null;
}

export function nothingMirrored(): Mirrored {
  return { schemas: new Set(), tables: new Map(), sequences: [], views: new Map(), comments: new Map(), roles: null };
}

export interface MirrorSteps extends ViewSteps {
  readonly setComments: readonly SharedComment[];
  readonly dropTables: readonly TableDef[];
  readonly dropSequences: readonly SequenceDef[];
  readonly dropSchemas: readonly string[];
  readonly createSchemas: readonly string[];
  readonly createSequences: readonly SequenceDef[];
  readonly createTables: readonly TableDef[];
}

/** Schemas of the image, never made and never dropped. */
export const IMAGE_SCHEMAS: ReadonlySet<string> = new Set(['public', 'arka', 'pg_catalog', 'information_schema']);

/** Definitions never change in place: a table whose definition differs is dropped and made anew under the same OIDs. */
export function mirrorSteps(now: Mirrored, wanted: CatalogContents): MirrorSteps {
  const tables = new Map(wanted.tables.map((def) => [def.uuid, def]));
  const schemas = new Set(wanted.schemas.filter((name) => !IMAGE_SCHEMAS.has(name)));
  const changed = (def: TableDef): boolean => {
    const other = tables.get(def.uuid);
    return (
      other === undefined ||
      !sameDefinition(def, other) ||
      !sameSequences(sequencesOf(def, now.sequences), sequencesOf(other, wanted.sequences ?? []))
    );
  };
  const standing = (sequences: readonly SequenceDef[]): readonly SequenceDef[] =>
    sequences.filter((def) => def.owner === null);
  const isIn = (sequences: readonly SequenceDef[], def: SequenceDef): boolean =>
    sequences.some((other) => sameSequences([def], [other]));
  const dropSchemas = [...now.schemas].filter((name) => !schemas.has(name));
  const createSchemas = [...schemas].filter((name) => !now.schemas.has(name));
  const dropTables = [...now.tables.values()].filter(changed);
  const dropSequences = standing(now.sequences).filter((def) => !isIn(wanted.sequences ?? [], def));
  const gone = [...dropTables, ...dropTables.flatMap((def) => sequencesOf(def, now.sequences)), ...dropSequences];
  return {
    ...viewSteps(
      [...now.views.values()],
      wanted.views ?? [],
      gone.map(({ oid }) => oid),
    ),
    dropTables,
    dropSequences,
    dropSchemas,
    createSchemas,
    setComments: sharedCommentSteps(now.comments, wanted.comments ?? [], dropSchemas, createSchemas),
    createSequences: standing(wanted.sequences ?? []).filter((def) => !isIn(now.sequences, def)),
    createTables: wanted.tables.filter((def) => {
      const held = now.tables.get(def.uuid);
      return held === undefined || changed(held);
    }),
  };
}

function sameDefinition(a: TableDef, b: TableDef): boolean {
  return a === b || JSON.stringify(mirroredOf(a)) === JSON.stringify(mirroredOf(b));
}

/** What of a table the mirror has. */
function mirroredOf(def: TableDef): readonly unknown[] {
  const { schemaId, oid, schema, name, keyName, columns, key, indexes, checks, comment, comments, unlogged } = def;
  const names = [schemaId, oid, schema, name, keyName, lastColumn(def).attnum];
  return [...names, columns, key, indexes, checks, comment, comments, unlogged];
}

export function dropTableSql(def: TableDef): string {
  return `DROP TABLE ${tableName(def)}`;
}

/**
 * A schema's OID is a hash of its name: the worker stops and starts, and clients remember OIDs meanwhile.
 * It lies above 2^30, where no table's OID will be.
 */
export function createSchemaSql(name: string): string {
  return `CREATE SCHEMA ${quoteIdentifier(name)};
    UPDATE pg_catalog.pg_namespace SET oid = ${2 ** 30 + (fnv1a(name) >>> 2)} WHERE nspname = ${quoteLiteral(name)}`;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function sameSequences(a: readonly SequenceDef[], b: readonly SequenceDef[]): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** @param sequences those of the whole server */
export function createTableSql(def: TableDef, sequences: readonly SequenceDef[] = []): string {
  const owned = sequences.filter((each) => each.owner?.tableUuid === def.uuid);
  invariant(def.oid > 0, 'a mirrored table has its OID');
  const byNumber = new Map(def.columns.map((column) => [column.attnum, column]));
  const columns: string[] = [];
  const dropped: string[] = [];
  const last = lastColumn(def).attnum;
  for (let attnum = 1; attnum <= last; attnum++) {
    const column = byNumber.get(attnum);
    const placeholder = `........arka.dropped.${attnum}........`;
    columns.push(column === undefined ? `${quoteIdentifier(placeholder)} integer` : columnSql(column, sequences));
    if (column === undefined) dropped.push(`ALTER TABLE ${tableName(def)} DROP COLUMN ${quoteIdentifier(placeholder)}`);
  }
  return [
    ...ownedSequencesSql(owned, def.unlogged === true),
    nextOids(def),
    `CREATE ${def.unlogged === true ? 'UNLOGGED ' : ''}TABLE ${tableName(def)} (${[...columns, ...checksSql(def)].join(', ')})`,
    ...dropped,
    ...keySql(def),
    ...indexSql(def),
    ...attachSequencesSql(def, owned),
    ...tableCommentsSql(def),
  ].join(';\n');
}

function nextOids(def: TableDef): string {
  const { oid } = def;
  invariant(OIDS_PER_TABLE > 5, 'the block holds a table and its dependents');
  const calls = [
    ['heap_pg_class_oid', oid],
    ['heap_relfilenode', oid],
    ['pg_type_oid', oid + 1],
    ['array_pg_type_oid', oid + 2],
  ] as [string, number][];
  // In this mode a TOAST table is made if and only if it is asked for.
  if (def.columns.some((column) => columnTypeInfo(column.type.oid)?.typlen === -1)) {
    calls.push(
      ['toast_pg_class_oid', oid + 3],
      ['toast_relfilenode', oid + 3],
      ['index_pg_class_oid', oid + 4],
      ['index_relfilenode', oid + 4],
    );
  }
  return `SELECT ${calls.map(([name, value]) => nextOid(name, value)).join(', ')}`;
}

function nextOid(name: string, oid: number): string {
  return `pg_catalog.binary_upgrade_set_next_${name}_inside('${oid}')`;
}

/** Apart from CREATE TABLE: one statement has room for one index OID, and the TOAST index takes it. */
function keySql(def: TableDef): readonly string[] {
  if (def.key.length === 0) return [];
  const names = def.key.map((fieldId) => {
    const column = def.columns.find((candidate) => candidate.fieldId === fieldId);
    invariant(column !== undefined, 'a key names columns of its table');
    return quoteIdentifier(column.name);
  });
  return [
    `SELECT ${nextOid('index_pg_class_oid', def.oid + 5)}, ${nextOid('index_relfilenode', def.oid + 5)}`,
    `ALTER TABLE ${tableName(def)} ADD CONSTRAINT ${quoteIdentifier(def.keyName)} PRIMARY KEY (${names.join(', ')})`,
  ];
}

function indexSql(def: TableDef): readonly string[] {
  return def.indexes.flatMap((index) => {
    const oid = def.oid + index.slot;
    return [
      `SELECT ${nextOid('index_pg_class_oid', oid)}, ${nextOid('index_relfilenode', oid)}`,
      index.unique === 'constraint' ? uniqueSql(def, index) : createIndexSql(def, index),
    ];
  });
}

function columnName(def: TableDef, fieldId: number): string {
  const column = def.columns.find((candidate) => candidate.fieldId === fieldId);
  invariant(column !== undefined, 'an index names columns of its table');
  return quoteIdentifier(column.name);
}

function uniqueSql(def: TableDef, { name, columns }: IndexDef): string {
  const names = columns.map(({ fieldId }) => columnName(def, fieldId));
  return `ALTER TABLE ${tableName(def)} ADD CONSTRAINT ${quoteIdentifier(name)} UNIQUE (${names.join(', ')})`;
}

function createIndexSql(def: TableDef, { name, method, columns, included, options, unique }: IndexDef): string {
  const nameOf = (fieldId: number): string => columnName(def, fieldId);
  const key = columns.map(({ fieldId, descending, nullsFirst, operatorClass, collation }) =>
    [
      nameOf(fieldId),
      ...(collation === undefined ? [] : [`COLLATE pg_catalog.${quoteIdentifier(collation)}`]),
      ...(operatorClass === undefined ? [] : [`pg_catalog.${quoteIdentifier(operatorClass)}`]),
      ...(descending ? ['DESC'] : []),
      ...(nullsFirst === descending ? [] : [`NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`]),
    ].join(' '),
  );
  const parameters = Object.entries(options).map(([option, value]) => `${option} = ${quoteLiteral(value)}`);
  return [
    `CREATE ${unique === undefined ? '' : 'UNIQUE '}INDEX ${quoteIdentifier(name)} ON ${tableName(def)} USING ${method} (${key.join(', ')})`,
    ...(included.length === 0 ? [] : [`INCLUDE (${included.map(nameOf).join(', ')})`]),
    ...(parameters.length === 0 ? [] : [`WITH (${parameters.join(', ')})`]),
  ].join(' ');
}

function checksSql({ checks = [] }: TableDef): readonly string[] {
  return checks.map(({ name, sql }) => `CONSTRAINT ${quoteIdentifier(name)} CHECK (${sql})`);
}

function columnSql(column: ColumnDef, sequences: readonly SequenceDef[]): string {
  const { generated } = column;
  const value =
    generated === undefined ? defaultSql(column, sequences) : ` GENERATED ALWAYS AS (${generated.sql}) STORED`;
  return `${quoteIdentifier(column.name)} ${typeSql(column.type)}${value}${column.notNull ? ' NOT NULL' : ''}`;
}

/** A type as DDL has it, modifiers included. */
export function typeSql(type: PgType): string {
  const element = elementOf(type);
  if (element !== undefined) return `${typeSql(element)}[]`;
  const info = columnTypeInfo(type.oid);
  invariant(info !== undefined, `type ${type.oid} is a column type`);
  if (type.typmod < 0) return info.name;
  switch (type.oid) {
    case Oid.varchar:
    case Oid.bpchar:
      return `${info.name}(${type.typmod - 4})`;
    case Oid.numeric: {
      const modifier = numericModifier(type.typmod);
      return modifier === null ? info.name : `numeric(${modifier.precision},${modifier.scale})`;
    }
    case Oid.time:
    case Oid.timetz:
    case Oid.timestamp:
    case Oid.timestamptz:
      return info.name.replace(' ', `(${type.typmod}) `);
    default:
      return info.name;
  }
}

function tableName(def: TableDef): string {
  return `${quoteIdentifier(def.schema)}.${quoteIdentifier(def.name)}`;
}
