/**
 * Sequences as DDL for PGlite. A sequence that a column owns is made and dropped with its table: serial columns get theirs
 * before the table, identity columns after it, for each CREATE has room for one imposed OID. Others stand by themselves.
 */
import type { SequenceDef } from '../sequence-def.ts';
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';

function sequenceName({ schema, name }: Pick<SequenceDef, 'schema' | 'name'>): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

const oidSql = (oid: number): string =>
  `SELECT pg_catalog.binary_upgrade_set_next_heap_pg_class_oid_inside('${oid}'), pg_catalog.binary_upgrade_set_next_heap_relfilenode_inside('${oid}')`;

function optionsSql({ increment, min, max, start, cache, cycle }: SequenceDef): string {
  return `INCREMENT BY ${increment} MINVALUE ${min} MAXVALUE ${max} START WITH ${start} CACHE ${cache}${cycle ? ' CYCLE' : ''}`;
}

/** @param isOwners whether the table that owns it is UNLOGGED */
export function createSequenceSql(def: SequenceDef, isOwners = false): string {
  const type = formatType({ oid: def.typeOid, typmod: -1 });
  return `${oidSql(def.oid)};\nCREATE ${(def.unlogged ?? isOwners) ? 'UNLOGGED ' : ''}SEQUENCE ${sequenceName(def)} AS ${type} ${optionsSql(def)}`;
}

export function dropSequenceSql(def: SequenceDef): string {
  return `DROP SEQUENCE IF EXISTS ${sequenceName(def)}`;
}

/** Before the table: sequences that its columns own, other than by GENERATED … AS IDENTITY. */
export function ownedSequencesSql(owned: readonly SequenceDef[], isUnlogged: boolean): readonly string[] {
  return owned.filter((def) => def.owner?.isIdentity !== true).map((def) => createSequenceSql(def, isUnlogged));
}

/** After it. */
export function attachSequencesSql(table: TableDef, owned: readonly SequenceDef[]): readonly string[] {
  const name = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  return owned.flatMap((def) => {
    const column = table.columns.find((each) => each.fieldId === def.owner?.fieldId);
    if (column === undefined) return [];
    if (def.owner?.isIdentity !== true)
      return [`ALTER SEQUENCE ${sequenceName(def)} OWNED BY ${name}.${quoteIdentifier(column.name)}`];
    const when = column.identity === 'byDefault' ? 'BY DEFAULT' : 'ALWAYS';
    const persistence = def.unlogged === undefined ? '' : def.unlogged ? 'UNLOGGED ' : 'LOGGED ';
    const identity = `(SEQUENCE NAME ${sequenceName(def)} ${persistence}${optionsSql(def)})`;
    return [
      oidSql(def.oid),
      `ALTER TABLE ${name} ALTER COLUMN ${quoteIdentifier(column.name)} ADD GENERATED ${when} AS IDENTITY ${identity}`,
    ];
  });
}

/** DEFAULT of a column as DDL; '' for none. */
export function defaultSql({ default: value, identity }: ColumnDef, sequences: readonly SequenceDef[]): string {
  if (value === null || identity !== undefined) return '';
  if (value.kind !== 'nextval') return ` DEFAULT ${value.sql}`;
  const def = sequences.find((each) => each.oid === value.sequence);
  // A sequence of an older catalog may be gone: the column is shown without it.
  return def === undefined ? '' : ` DEFAULT nextval(${quoteLiteral(sequenceName(def))}::regclass)`;
}

/** What the mirror of a table depends on beside its definition. */
export function sequencesOf(table: TableDef, sequences: readonly SequenceDef[]): readonly SequenceDef[] {
  const used = new Set(table.columns.map((each) => (each.default?.kind === 'nextval' ? each.default.sequence : 0)));
  return sequences.filter((def) => def.owner?.tableUuid === table.uuid || used.has(def.oid));
}
