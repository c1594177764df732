/**
 * What a transaction under way has defined: tables, sequences and schemas that nobody else sees, and those that are gone for
 * it alone. It is all of the transaction's memory of them; the catalog hears of it at COMMIT (commit-definitions.ts, M-3).
 *
 * - S1 Names are looked up here first: null hides what the database has under one.
 * - S2 A new table is a table like any other, with rows of the transaction alone, that the database finds by uuid and not by
 *   name; so are sequences, by OID. Nothing of either is in the catalog.
 * - S3 Each change leaves a way back. A rollback to a savepoint goes back to it, a rollback all the way.
 * - S4 What was changed is held alone until the transaction ends, or goes back before the change: names, too, so that two
 *   transactions never make the same one.
 */
import { randomUUID } from 'node:crypto';
import { SqlError, SqlState } from '../errors.ts';
import type { OwnedSequence, SequenceDef, SequenceOptions, SequenceState, StoredSequence } from '../sequence-def.ts';
import type { Table } from '../storage/table.ts';
import type { Fill } from '../storage/unit-engine.ts';
import { isTemporarySchema, type ColumnDef, type IndexDef, type IndexToMake, type TableDef } from '../table-def.ts';
import { viewKey, type ViewDef } from '../view-def.ts';
import type { Database } from './database.ts';
import { newIndex, newIndexUnless } from './define-index.ts';
import { ownedSequences, refuseNeeded, sequenceToBe, sequenceToMake } from './define-sequence.ts';
import { isFree, ownedBy, refuseFull, refuseName, type Relations } from './relations.ts';
import type { Redefinition, SchemaResult } from './schema-result.ts';
import type { Sequence } from './sequence.ts';
import type { Patience, TableHold } from './table-locks.ts';
import type { Transaction } from './transaction.ts';
import { uncancelled } from '../running.ts';

const keyOf = (schema: string, name: string): string => `${schema}\u0000${name}`;
/** Of what a key, a table or a sequence names; '' for what lies in none. */
const schemaOf = (key: unknown): string =>
  typeof key === 'string' ? key.slice(0, Math.max(0, key.indexOf('\u0000'))) : (key as Table | Sequence).def.schema;

interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

/** For a lock that nobody else can have. */
const NOBODY_ELSE: Patience = { lockWait: () => () => {}, running: uncancelled };

/** By which a sequence is held alone while it is altered. */
export const sequenceKey = ({ def: { oid } }: Sequence): string => `sequence ${oid}`;

/** Another transaction has dropped it meanwhile. @throws {SqlError} 42P01 */
function refuseGone({ def, isDropped }: Sequence): void {
  if (isDropped) throw new SqlError(SqlState.undefinedTable, `relation "${def.name}" does not exist`);
}

export class SchemaChanges implements Relations {
  readonly #database: Database;
  readonly transaction: Transaction;
  readonly #hold: TableHold;
  /** By name; null: hidden. */
  readonly #tables = new Map<string, Table | null>();
  readonly #sequences = new Map<string, Sequence | null>();
  /** Of the database, altered here: nobody else draws from them. */
  readonly #alteredSequences = new Set<Sequence>();
  /** By another name here, in another schema or both. */
  readonly #named = new Map<Sequence, QualifiedName>();
  /** What the database calls a schema that has this name here. */
  readonly #renamedSchemas = new Map<string, string | null>();
  /** Of these the catalog hears how far they are once the rows are in the log. */
  readonly #restarted = new Map<Sequence, true>();
  readonly #views = new Map<string, ViewDef | null>();
  /** Null: none any more. */
  readonly #comments = new Map<string, string | null>();
  /** False: dropped. */
  readonly #schemas = new Map<string, boolean>();
  /** Made here, whatever became of them since. */
  readonly #newTables = new Set<Table>();
  readonly #newSequences = new Set<Sequence>();
  /** Of the database, with another definition here; and properties that are to go. */
  readonly #altered = new Map<Table, Set<string>>();
  /** New columns that rows get values in: NOT NULL only when they have them. */
  readonly #filled = new Map<Table, Set<number>>();
  /** The same, by files that COMMIT writes. */
  readonly #fills = new Map<Table, Fill>();
  /** What to let go when there is no way back any more. */
  readonly #kept: (() => void)[] = [];
  /** Of the database, and gone here. */
  readonly #dropped = new Set<Table>();
  readonly #undo: (() => void)[] = [];
  /** Changes before each savepoint that is open. */
  #marks: number[] = [];
  readonly #locks = new Map<string, () => void>();
  /** Temporary schemas in which something was changed; '': elsewhere. */
  readonly #touched = new Set<string>();
  /** Rises with each change. */
  version = 1;
  /** The catalog has it all. */
  isCommitted = false;

  constructor(database: Database, transaction: Transaction, hold: TableHold) {
    this.#database = database;
    this.transaction = transaction;
    this.#hold = hold;
  }

  table(schema: string, name: string): Table | undefined {
    const own = this.#tables.get(keyOf(schema, name));
    return own === undefined ? this.#database.table(schema, name) : (own ?? undefined);
  }

  sequence(schema: string, name: string): Sequence | undefined {
    const own = this.#sequences.get(keyOf(schema, name));
    return own === undefined ? this.#database.sequences.named(schema, name) : (own ?? undefined);
  }

  view(schema: string, name: string): ViewDef | undefined {
    const key = viewKey({ schema, name });
    const own = this.#views.get(key);
    return own === undefined ? this.#database.views.get(key) : (own ?? undefined);
  }

  hasSchema(name: string): boolean {
    return this.#schemas.get(name) ?? this.#database.relations.hasSchema(name);
  }

  get tables(): Iterable<Table> {
    const made = [...this.#tables.values()].filter((table) => table !== null && this.#newTables.has(table));
    return [...[...this.#database.relations.tables].filter((table) => !this.#dropped.has(table)), ...(made as Table[])];
  }

  definition(table: Table): TableDef {
    return this.#altered.has(table) ? table.def : this.#database.relations.definition(table);
  }

  get sequences(): Iterable<Sequence> {
    const made = [...this.#sequences.values()].filter((sequence) => sequence !== null);
    const hidden = ({ def }: Sequence): boolean => this.#sequences.has(keyOf(def.schema, def.name));
    return [...[...this.#database.sequences.all].filter((sequence) => !hidden(sequence)), ...made];
  }

  get views(): Iterable<ViewDef> {
    const others = [...this.#database.views].filter(([key]) => !this.#views.has(key)).map(([, view]) => view);
    return [...others, ...[...this.#views.values()].filter((view) => view !== null)];
  }

  get comments(): Iterable<readonly [string, string]> {
    const all = new Map<string, string | null>([...this.#database.comments, ...this.#comments]);
    return [...all].flatMap(([of, comment]) => (comment === null ? [] : [[of, comment] as const]));
  }

  setComment(of: string, comment: string | null): void {
    this.#put(this.#comments, of, comment);
  }

  get schemas(): Iterable<string> {
    const made = [...this.#schemas].filter(([, isThere]) => isThere).map(([name]) => name);
    return new Set([...[...this.#database.relations.schemas].filter((name) => this.hasSchema(name)), ...made]);
  }

  /** Names, and tables by uuid, that nobody else may change until the transaction ends (S4). @throws {SqlError} 55P03, 57014, 40P01 */
  async lock(keys: readonly string[], patience: Patience): Promise<void> {
    for (const key of keys) {
      if (this.#locks.has(key)) continue;
      this.#locks.set(key, await this.#database.locks.alone(this.#hold, key, patience));
      this.#undo.push(() => this.#unlock(key));
    }
  }

  #unlock(key: string): void {
    this.#locks.get(key)!();
    this.#locks.delete(key);
  }

  /** @param schema where it is; '': in more than one, or in none */
  #changed(undo: () => void, schema: string): void {
    this.#undo.push(() => {
      undo();
      this.#told(schema);
    });
    this.#told(schema);
  }

  /** Plans of before are made again, by those who see what lies there. */
  #told(schema: string): void {
    this.#touched.add(isTemporarySchema(schema) ? schema : '');
    this.version++;
    this.#database.changedIn(schema);
  }

  /** Puts a value under a name, with the way back. */
  #put<K, V>(map: Map<K, V>, key: K, value: V): void {
    const had = map.has(key);
    const before = map.get(key);
    map.set(key, value);
    this.#changed(() => {
      if (had) map.set(key, before!);
      else map.delete(key);
    }, schemaOf(key));
  }

  /** Null: it was there and `ifNotExists` said that is fine. @throws {SqlError} 3F000, 42P07 */
  async createTable(
    draft: TableDef,
    ifNotExists: boolean,
    owned: readonly OwnedSequence[] = [],
  ): Promise<Table | null> {
    if (!isFree(this, draft, ifNotExists)) return null;
    const given: TableDef = { ...draft, uuid: randomUUID(), oid: this.#database.takeOid() };
    const { def, sequences } = ownedSequences(this, given, owned, () => this.#database.takeOid());
    // Once the catalog has it others find it, and its rows come after that: they wait (D2 of commit-definitions.ts).
    await this.lock([def.uuid], NOBODY_ELSE);
    const location = def.onCommit === undefined ? await this.#database.lake.newLocation(def) : '';
    for (const sequence of sequences) this.addSequence(sequence);
    const table = this.#database.addUncommitted(def, location);
    this.#newTables.add(table);
    this.transaction.fresh.made(def.uuid, this.transaction.savepoints);
    this.#put(this.#tables, keyOf(def.schema, def.name), table);
    this.#undo.push(() => this.#forget(table));
    return table;
  }

  #forget(table: Table): void {
    this.transaction.forget(table);
    this.#newTables.delete(table);
    this.#database.removeUncommitted(table);
  }

  /** The table is locked, and its sequences go with it. @throws {SqlError} 55P03, 57014, 40P01 */
  async dropTable(table: Table, patience: Patience): Promise<void> {
    for (let owned; (owned = this.#unlocked(ownedBy(this, table.def.uuid))).length > 0;)
      await this.lock(owned.map(sequenceKey), patience); // whoever alters one may give it to another table
    this.#drop(table);
  }

  #unlocked(sequences: readonly Sequence[]): Sequence[] {
    return sequences.filter((each) => !this.isNew(each) && !this.#locks.has(sequenceKey(each)));
  }

  #drop(table: Table): void {
    const { schema, name, uuid } = table.def;
    for (const sequence of ownedBy(this, uuid)) this.dropSequence(sequence);
    if (!this.#newTables.has(table)) {
      this.#dropped.add(table);
      this.#undo.push(() => this.#dropped.delete(table));
    }
    this.#put(this.#tables, keyOf(schema, name), null);
  }

  /** @throws {SqlError} 42P06 */
  createSchema(name: string): void {
    if (this.hasSchema(name)) throw new SqlError(SqlState.duplicateSchema, `schema "${name}" already exists`);
    this.#put(this.#schemas, name, true);
  }

  /** @throws {SqlError} 2BP01 */
  dropSchema(name: string, searchPath: readonly string[]): void {
    refuseFull(this, name, searchPath);
    this.setComment(`schema ${name}`, null);
    this.#put(this.#schemas, name, false);
  }

  /** There are these views now, and no others (the names that come or go are locked). */
  setViews(views: readonly ViewDef[]): void {
    const wanted = new Map(views.map((view) => [viewKey(view), view]));
    for (const view of [...this.views]) {
      const key = viewKey(view);
      if (!wanted.has(key)) this.#put(this.#views, key, null);
      else if (JSON.stringify(wanted.get(key)) === JSON.stringify(view)) wanted.delete(key);
    }
    for (const [key, view] of wanted) this.#put(this.#views, key, view);
  }

  /** A table that is held alone is defined otherwise from now on. */
  redefined(table: Table, { before, def, specId = null, removed = [], back, kept }: Redefinition): void {
    const isNew = this.#newTables.has(table);
    const properties = this.#altered.get(table);
    const spec = table.committedSpecId;
    if (!isNew) {
      table.committedDef ??= before;
      table.committedSpecId ??= specId;
    }
    if (!isNew) this.#altered.set(table, new Set([...(properties ?? []), ...removed]));
    const keptBefore = this.#kept.length;
    if (kept !== undefined) this.#kept.push(kept);
    if (table.def !== def) table.setDef(def);
    this.transaction.writes.get(table)?.carryValues();
    this.#changed(() => {
      back();
      table.committedSpecId = spec;
      this.#kept.length = keptBefore;
      if (properties !== undefined) this.#altered.set(table, properties);
      else if (this.#altered.delete(table)) table.committedDef = null;
    }, table.def.schema);
  }

  /** Rows that are there get values in new columns, by an UPDATE that comes next. */
  filled(table: Table, columns: readonly ColumnDef[]): void {
    const before = this.#filled.get(table) ?? new Set<number>();
    this.#put(this.#filled, table, new Set([...before, ...columns.map(({ fieldId }) => fieldId)]));
  }

  /** The same by files that COMMIT writes: until then rows have NULL. */
  fillLater(table: Table, fill: Fill): void {
    this.#put(this.#fills, table, fill);
  }

  get fillsLater(): boolean {
    return this.#fills.size > 0;
  }

  /** What COMMIT writes into files. */
  get fills(): ReadonlyMap<Table, Fill> {
    return this.#fills;
  }

  /** A new name, a new schema or both. @throws {SqlError} 42P07, 3F000 */
  async renameTable(table: Table, to: QualifiedName, patience: Patience): Promise<void> {
    const { def } = table;
    refuseName(this, def, to);
    const sequences = to.schema === def.schema ? [] : ownedBy(this, def.uuid);
    for (const sequence of sequences) await this.#holdSequence(sequence, patience);
    this.#nameTable(table, to);
    for (const sequence of sequences) this.#name(sequence, { ...this.sequenceDefinition(sequence), schema: to.schema });
  }

  #nameTable(table: Table, to: QualifiedName): void {
    const { def } = table;
    this.#put(this.#tables, keyOf(def.schema, def.name), null);
    const back = (): void => table.setDef({ ...table.def, schema: def.schema, name: def.name });
    this.redefined(table, { before: def, def: { ...def, schema: to.schema, name: to.name }, back });
    this.#put(this.#tables, keyOf(to.schema, to.name), table);
  }

  /** A sequence that is held gets another name, a new schema or both. */
  #name(sequence: Sequence, { schema, name }: QualifiedName): void {
    const before = this.sequenceDefinition(sequence);
    this.#put(this.#sequences, keyOf(before.schema, before.name), null);
    this.#put(this.#named, sequence, { schema, name });
    this.#put(this.#sequences, keyOf(schema, name), sequence);
  }

  /**
   * Both names, and the tables that are in it, are locked; its views are not its any more.
   * @throws {SqlError} 55P03, 57014, 40P01
   */
  async renameSchema(name: string, to: string, patience: Patience): Promise<void> {
    const isIn = ({ schema }: { readonly schema: string }): boolean => schema === name;
    const sequences = [...this.sequences].filter((sequence) => isIn(this.sequenceDefinition(sequence)));
    for (const sequence of sequences) await this.#holdSequence(sequence, patience);
    const comment = new Map(this.comments).get(`schema ${name}`) ?? null;
    if (comment !== null) this.setComment(`schema ${name}`, null);
    this.#put(this.#schemas, name, false);
    this.#put(this.#schemas, to, true);
    this.#put(this.#renamedSchemas, to, this.#stored(name));
    this.#put(this.#renamedSchemas, name, null);
    if (comment !== null) this.setComment(`schema ${to}`, comment);
    for (const table of [...this.tables].filter((each) => isIn(this.definition(each))))
      this.#nameTable(table, { schema: to, name: this.definition(table).name });
    for (const sequence of sequences) this.#name(sequence, { ...this.sequenceDefinition(sequence), schema: to });
  }

  /** What the database calls a schema; null: it has no such. */
  #stored(name: string): string | null {
    const renamed = this.#renamedSchemas.get(name);
    return renamed === undefined && this.#database.schemas.has(name) ? name : (renamed ?? null);
  }

  addSequence(def: SequenceDef): Sequence {
    const { sequences } = this.#database;
    const sequence = sequences.addUncommitted(def);
    this.#newSequences.add(sequence);
    this.#put(this.#sequences, keyOf(def.schema, def.name), sequence);
    this.#undo.push(() => {
      this.#newSequences.delete(sequence);
      sequences.removeUncommitted(sequence);
    });
    return sequence;
  }

  dropSequence(sequence: Sequence): void {
    const { schema, name } = this.sequenceDefinition(sequence);
    this.#put(this.#sequences, keyOf(schema, name), null);
  }

  /** Null: it is there, and `ifNotExists` says that is fine. @throws {SqlError} 3F000, 42P07, 22023, 55000 */
  createSequence(
    named: { readonly schema: string; readonly name: string },
    options: SequenceOptions,
    ifNotExists: boolean,
    searchPath: readonly string[],
  ): Sequence | null {
    const takeOid = (): number => this.#database.takeOid();
    const def = sequenceToMake(this, named, options, ifNotExists, searchPath, takeOid);
    return def === null ? null : this.addSequence(def);
  }

  /** @throws {SqlError} 22023, 55000, 42P01, 42703; 55P03, 57014, 40P01 */
  async alterSequence(
    sequence: Sequence,
    options: SequenceOptions,
    searchPath: readonly string[],
    patience: Patience,
  ): Promise<void> {
    await this.#holdSequence(sequence, patience);
    await this.#redefine(sequence, sequenceToBe(this, sequence, options, searchPath));
  }

  /** It begins anew. @throws {SqlError} 55P03, 57014, 40P01 */
  async restartSequence(sequence: Sequence, patience: Patience): Promise<void> {
    await this.#holdSequence(sequence, patience);
    const { def } = sequence;
    await this.#redefine(sequence, { def, state: { last: def.start, isCalled: false } });
  }

  async #redefine(sequence: Sequence, to: StoredSequence): Promise<void> {
    const { def, state } = sequence;
    const back = (): void => void sequence.redefine(def, state).catch(() => undefined); // the catalog has a mark beyond it
    this.#changed(back, def.schema);
    this.#put(this.#restarted, sequence, true);
    await sequence.redefine(to.def, to.state);
  }

  async #holdSequence(sequence: Sequence, patience: Patience): Promise<void> {
    if (this.isNew(sequence) || this.#alteredSequences.has(sequence)) return;
    await this.lock([sequenceKey(sequence)], patience);
    refuseGone(sequence);
    const { sequences } = this.#database;
    await sequences.borrow(sequence, this.transaction);
    this.#alteredSequences.add(sequence);
    this.#undo.push(() => {
      this.#alteredSequences.delete(sequence);
      sequences.giveBack(sequence);
      // The catalog heard of no mark for what was drawn meanwhile (N1).
      void sequence.redefine(sequence.def, sequence.state).catch(() => undefined);
    });
  }

  /** A new name, a new schema or both. @throws {SqlError} 42P07, 3F000; 55P03, 57014, 40P01 */
  async renameSequence(sequence: Sequence, to: QualifiedName, patience: Patience): Promise<void> {
    refuseName(this, this.sequenceDefinition(sequence), to);
    await this.#holdSequence(sequence, patience);
    this.#name(sequence, to);
  }

  /** @throws {SqlError} 2BP01, 42P01; 55P03, 57014, 40P01 */
  async dropSequences(sequences: readonly Sequence[], cascade: boolean, patience: Patience): Promise<void> {
    await this.lock(this.#unlocked(sequences).map(sequenceKey), patience);
    for (const sequence of sequences) refuseGone(sequence);
    for (const { def } of sequences) refuseNeeded(this, def, cascade);
    for (const sequence of sequences) this.dropSequence(sequence);
  }

  /** @throws {SqlError} 42P07 */
  indexToBe(table: Table, index: IndexToMake): IndexDef {
    return newIndex(this, table, index, () => this.#database.takeOid());
  }

  /** Null: it is there, and `ifNotExists` says that is fine. @throws {SqlError} 42P07 */
  indexToBeUnless(ifNotExists: boolean, table: Table, index: IndexToMake): IndexDef | null {
    return newIndexUnless(ifNotExists, this, table, index, () => this.#database.takeOid());
  }

  addIndex(table: Table, index: IndexDef): void {
    this.#setIndexes(table, [...table.def.indexes, index]);
  }

  /** Of a new table. */
  dropIndex(table: Table, name: string): void {
    this.#setIndexes(
      table,
      table.def.indexes.filter((index) => index.name !== name),
    );
  }

  /** The new name is locked, and free. */
  renameIndex(table: Table, name: string, to: string): void {
    const { def } = table;
    const { [`index ${name}`]: comment, ...others } = def.comments ?? {};
    const comments = comment === undefined ? {} : { comments: { ...others, [`index ${to}`]: comment } };
    const indexes = def.indexes.map((index) => (index.name === name ? { ...index, name: to } : index));
    this.redefined(table, { before: def, def: { ...def, ...comments, indexes }, back: () => table.setDef(def) });
  }

  #setIndexes(table: Table, indexes: readonly IndexDef[]): void {
    const { def: before } = table;
    table.setIndexes(indexes);
    this.redefined(table, { before, def: table.def, back: () => table.setIndexes(before.indexes) });
  }

  /** Not dropped, and not gone with a rollback. */
  has(table: Table): boolean {
    return this.table(table.def.schema, table.def.name) === table;
  }

  isNew(what: Table | Sequence): boolean {
    return this.#newTables.has(what as Table) || this.#newSequences.has(what as Sequence);
  }

  sequenceDefinition(sequence: Sequence): SequenceDef {
    const def = this.#foreign(sequence)?.def ?? sequence.def;
    const named = this.#named.get(sequence);
    return named === undefined ? def : { ...def, ...named };
  }

  sequenceState(sequence: Sequence): SequenceState {
    return this.#foreign(sequence)?.state ?? sequence.state;
  }

  /** Of a sequence that another transaction has altered: what it was before. */
  #foreign(sequence: Sequence): StoredSequence | null {
    return this.#alteredSequences.has(sequence) ? null : sequence.committed;
  }

  /** A savepoint, `depth` of them open before it. */
  savepoint(depth: number): void {
    while (this.#marks.length < depth) this.#marks.push(0); // of before the first change
    this.#marks.push(this.#undo.length);
  }

  /** Only the first `depth` savepoints are left. */
  release(depth: number): void {
    this.#marks.length = Math.min(this.#marks.length, depth);
  }

  /** Back to savepoint `index`, which stays open. */
  rollbackTo(index: number): void {
    this.#goBack(this.#marks[index] ?? 0);
    this.#marks.length = Math.min(this.#marks.length, index + 1);
  }

  #goBack(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()!();
  }

  /** All the way, where the catalog does not have it. */
  goBack(): void {
    if (!this.isCommitted) this.#goBack(0);
  }

  /** What it leaves behind. */
  get result(): SchemaResult {
    const { schemas, sequences, views } = this.#database;
    const tableOf = (uuid: string): Table | undefined => this.#database.tableOf(uuid);
    const [ownTables, ownSequences] = [new Set(this.tables), new Set(this.sequences)];
    const isOther = ([name, isThere]: [string, boolean]): boolean => isThere !== schemas.has(name);
    const changed = [...this.#schemas].filter(isOther);
    return {
      newSchemas: changed.filter(([, isThere]) => isThere).map(([name]) => name),
      droppedSchemas: changed.filter(([, isThere]) => !isThere).map(([name]) => name),
      newTables: [...this.#newTables].filter((table) => ownTables.has(table)),
      alteredTables: [...this.#altered]
        .filter(([table]) => !this.#dropped.has(table))
        .map(([table, removed]) => ({ table, removed: [...removed], filled: [...(this.#filled.get(table) ?? [])] })),
      droppedTables: [...this.#dropped].filter(({ def }) => tableOf(def.uuid) !== undefined),
      newSequences: [...this.#newSequences].filter((sequence) => ownSequences.has(sequence)),
      alteredSequences: [...this.#alteredSequences].filter((sequence) => ownSequences.has(sequence)),
      restartedSequences: [...this.#restarted.keys()].filter((sequence) => ownSequences.has(sequence)),
      droppedSequences: [...sequences.all].filter((sequence) => !ownSequences.has(sequence)),
      renamedSchemas: [...this.#renamedSchemas].flatMap(([name, stored]) =>
        stored !== null && stored !== name && this.hasSchema(name) ? [{ name: stored, to: name }] : [],
      ),
      storedViews: [...this.#views.values()]
        .filter((view) => view !== null)
        .filter((view) => views.get(viewKey(view)) !== view),
      comments: [...this.#comments].filter(([of, comment]) => (this.#database.comments.get(of) ?? null) !== comment),
      removedViews: [...this.#views].flatMap(([key, view]) => (view === null ? (views.get(key) ?? []) : [])),
    };
  }

  /** Tables that are to live no longer than the transaction. */
  dropOnCommit(): void {
    for (const table of [...this.#newTables]) if (table.def.onCommit === 'drop' && this.has(table)) this.#drop(table);
  }

  /** The transaction has ended: what the catalog does not have is nothing, and others may go on. */
  end(): void {
    this.goBack();
    for (const keep of this.#kept.splice(0)) if (this.isCommitted) keep();
    for (const table of this.#newTables) this.#database.removeUncommitted(table);
    for (const sequence of this.#newSequences) this.#database.sequences.removeUncommitted(sequence);
    for (const key of [...this.#locks.keys()]) this.#unlock(key);
    for (const schema of [...this.#touched]) this.#told(schema);
  }
}
