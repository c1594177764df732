/**
 * Definitions in the simulated world: sessions make, drop, rename and alter tables, index them, and make and rename schemas, each with names of
 * its own, in transactions with rows, savepoints and rollbacks, beside flushes and commits; what they own is theirs by real rights.
 *
 * The model is as plain as it can be: what there is by name, its columns and its rows. After a crash a session's names are as its
 * last acknowledged transaction left them, or as the one under way would have (M-3: perhaps without its rows); and whatever there
 * is has an owner, and nothing else has one.
 */
import { randomUUID } from 'node:crypto';
import { SqlError, SqlState } from '../../src/errors.ts';
import { alterWithin, holdToAlter } from '../../src/ingest/alter-within.ts';
import { commitDefinitions, type WithRights } from '../../src/ingest/commit-definitions.ts';
import type { Database } from '../../src/ingest/database.ts';
import { SchemaChanges } from '../../src/ingest/schema-changes.ts';
import { schemaKey, tableKey, withOwner, withoutObjects, withRenamed } from '../../src/rights/acl.ts';
import { Rights, type RoleChange } from '../../src/rights/rights.ts';
import type { Table } from '../../src/storage/table.ts';
import type { TableDef } from '../../src/table-def.ts';
import { Life, type Planted } from './life.ts';
import { Model } from './model.ts';
import { tableDef } from './scenario.ts';
import { simulate } from './sim-node.ts';
import { loadS3, simulateS3 } from './sim-s3.ts';
import { codeOf, isSimulated, NO_FAULTS, Violation, World } from './world.ts';
import { uncancelled } from '../../src/running.ts';

const OWNER = 20_000;
/** What a session may meet in good order. */
const EXPECTED = new Set(['40001', '40P01', '53100', '55P03', '57014']);

interface KnownTable {
  readonly columns: readonly string[];
  readonly sorted: boolean;
  readonly indexed: boolean;
  readonly ids: readonly number[];
}

/** By `schema.name`; of one session. */
interface Known {
  readonly schemas: ReadonlySet<string>;
  readonly tables: ReadonlyMap<string, KnownTable>;
}

const NOTHING: Known = { schemas: new Set(), tables: new Map() };

const shown = ({ schemas, tables }: Known, rows: boolean): string =>
  JSON.stringify([
    [...schemas].sort(),
    [...tables]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { columns, sorted, indexed, ids }]) => [
        name,
        columns,
        sorted,
        indexed,
        rows ? [...ids].sort((a, b) => a - b) : [],
      ]),
  ]);

/** One session: names that begin with its letter. */
class Definer {
  readonly letter: string;
  known: Known = NOTHING;
  /** What a transaction whose end is unknown would have left; null: there is none. */
  perhaps: Known | null = null;

  constructor(letter: string) {
    this.letter = letter;
  }
}

/** A transaction of definitions: the model's side and Arka's, step by step. */
class Step {
  readonly #world: World;
  readonly #life: Life;
  readonly #changes: SchemaChanges;
  readonly #next: () => number;
  readonly #letter: string;
  known: Known;
  rights: RoleChange[] = [];

  constructor(run: DefinitionsRun, life: Life, changes: SchemaChanges, definer: Definer) {
    this.#world = run.world;
    this.#life = life;
    this.#changes = changes;
    this.#next = () => ++run.counter;
    this.#letter = definer.letter;
    this.known = definer.known;
  }

  get #database(): Database {
    return this.#life.database;
  }

  #one<T>(all: Iterable<T>): T | undefined {
    const list = [...all];
    return list[this.#world.below(list.length)];
  }

  /** A schema to put something into. */
  #schema(): string {
    return this.#world.chance(0.5) ? 'public' : (this.#one(this.known.schemas) ?? 'public');
  }

  #freeName(): string | null {
    const name = `${this.#schema()}.${this.#letter}${this.#world.below(4)}`;
    return this.known.tables.has(name) ? null : name;
  }

  #table(name: string): Table {
    const [schema, own] = name.split('.') as [string, string];
    const table = this.#changes.table(schema, own);
    if (table === undefined) this.#world.fail(`${name} is not there in its own transaction`);
    return table;
  }

  #put(name: string, table: KnownTable | null, from: string | null = null): void {
    const tables = new Map(this.known.tables);
    if (from !== null) tables.delete(from);
    if (table === null) tables.delete(name);
    else tables.set(name, table);
    this.known = { ...this.known, tables };
  }

  async run(): Promise<void> {
    const { tables, schemas } = this.known;
    const steps = [
      () => this.#create(),
      () => this.#create(),
      ...(tables.size === 0
        ? []
        : [
            () => this.#drop(),
            () => this.#rename(),
            () => this.#alter(),
            () => this.#alter(),
            () => this.#index(),
            () => this.#insert(),
          ]),
      ...(schemas.size < 2 ? [() => this.#createSchema()] : []),
      ...(schemas.size > 0 ? [() => this.#renameSchema(), () => this.#dropSchema()] : []),
    ];
    await this.#one(steps)!();
  }

  async #create(): Promise<void> {
    const name = this.#freeName();
    if (name === null) return;
    const [schema, own] = name.split('.') as [string, string];
    const def: TableDef = { ...tableDef(own), uuid: randomUUID(), schema, keyName: `${own}_pkey`, sort: [] };
    const table = (await this.#changes.createTable(def, false))!;
    this.rights.push((state) => withOwner(state, tableKey(table.def.uuid), OWNER));
    this.#put(name, { columns: ['id', 'v', 'name'], sorted: false, indexed: false, ids: [] });
    if (this.#world.chance(0.7)) await this.#insertInto(name);
  }

  async #insert(): Promise<void> {
    await this.#insertInto(this.#one(this.known.tables.keys())!);
  }

  async #insertInto(name: string): Promise<void> {
    const { transaction } = this.#changes;
    const table = this.#table(name);
    const known = this.known.tables.get(name)!;
    await this.#hold(table);
    const id = this.#next();
    await this.#life.insert(transaction, table, [[id, id, null]], false);
    this.#put(name, { ...known, ids: [...known.ids, id] });
  }

  get #patience() {
    const { clock } = this.#world;
    return { lockWait: (expired: () => void) => clock.after(5000, expired), running: uncancelled };
  }

  async #hold(table: Table): Promise<void> {
    await this.#changes.lock([table.def.uuid], this.#patience);
  }

  async #drop(): Promise<void> {
    const name = this.#one(this.known.tables.keys())!;
    const table = this.#table(name);
    await this.#hold(table);
    await this.#changes.dropTable(table, this.#patience);
    this.rights.push((state) => withoutObjects(state, [tableKey(table.def.uuid)]));
    this.#put(name, null);
  }

  async #rename(): Promise<void> {
    const name = this.#one(this.known.tables.keys())!;
    const to = this.#freeName();
    if (to === null) return;
    const [schema, own] = to.split('.') as [string, string];
    const table = this.#table(name);
    await this.#hold(table);
    // the key keeps its name, which another table's may have
    if (schema !== table.def.schema) return;
    await this.#changes.renameTable(table, { schema, name: own }, this.#patience);
    this.#put(to, this.known.tables.get(name)!, name);
  }

  async #alter(): Promise<void> {
    const name = this.#one(this.known.tables.keys())!;
    const table = this.#table(name);
    const known = this.known.tables.get(name)!;
    const sorts = this.#world.chance(0.5);
    const change = (def: TableDef): TableDef => {
      const { columns, sort } = def;
      if (sorts)
        return { ...def, sort: sort.length > 0 ? [] : [{ sourceId: 1, descending: false, nullsFirst: false }] };
      const other = (column: TableDef['columns'][number]): string => (column.name === 'name' ? 'label' : 'name');
      return { ...def, columns: columns.map((each) => (each.fieldId === 3 ? { ...each, name: other(each) } : each)) };
    };
    const given = { database: this.#database, changes: this.#changes, patience: this.#patience };
    await alterWithin(
      given,
      table,
      (def) => ({ def: change(def), removed: [] }),
      () => Promise.resolve([]),
    );
    const { columns, sort } = table.def;
    this.#put(name, { ...known, columns: columns.map((each) => each.name), sorted: sort.length > 0 });
  }

  /** An index comes, or goes. */
  async #index(): Promise<void> {
    const name = this.#one(this.known.tables.keys())!;
    const table = this.#table(name);
    const known = this.known.tables.get(name)!;
    await holdToAlter({ database: this.#database, changes: this.#changes, patience: this.#patience }, table);
    const [there] = table.def.indexes;
    if (there === undefined) {
      const key = [3, 2].map((fieldId) => ({ fieldId, descending: fieldId === 2, nullsFirst: false }));
      const index = { method: 'btree', columns: key, included: [1], options: { fillfactor: '70' } } as const;
      this.#changes.addIndex(table, this.#changes.indexToBe(table, { name: null, index }));
    } else this.#changes.dropIndex(table, there.name);
    this.#put(name, { ...known, indexed: there === undefined });
  }

  #freeSchema(): string {
    for (let i = 0; ; i++) if (!this.known.schemas.has(`${this.#letter}s${i}`)) return `${this.#letter}s${i}`;
  }

  async #createSchema(): Promise<void> {
    const name = this.#freeSchema();
    await this.#changes.lock([`schema ${name}`], this.#patience);
    this.#changes.createSchema(name);
    this.rights.push((state) => withOwner(state, schemaKey(name), OWNER));
    this.known = { ...this.known, schemas: new Set([...this.known.schemas, name]) };
  }

  async #renameSchema(): Promise<void> {
    const name = this.#one(this.known.schemas)!;
    const to = this.#freeSchema();
    const inside = [...this.known.tables.keys()].filter((each) => each.startsWith(`${name}.`));
    await this.#changes.lock([`schema ${name}`, `schema ${to}`], this.#patience);
    for (const each of inside) await this.#hold(this.#table(each));
    await this.#changes.renameSchema(name, to, this.#patience);
    this.rights.push((state) => withRenamed(state, name, to));
    for (const each of inside) this.#put(`${to}.${each.split('.')[1]}`, this.known.tables.get(each)!, each);
    this.known = {
      ...this.known,
      schemas: new Set([...this.known.schemas].map((each) => (each === name ? to : each))),
    };
  }

  async #dropSchema(): Promise<void> {
    const name = this.#one(this.known.schemas)!;
    if ([...this.known.tables.keys()].some((each) => each.startsWith(`${name}.`))) return;
    await this.#changes.lock([`schema ${name}`], this.#patience);
    this.#changes.dropSchema(name, []);
    this.rights.push((state) => withoutObjects(state, [schemaKey(name)]));
    this.known = { ...this.known, schemas: new Set([...this.known.schemas].filter((each) => each !== name)) };
  }
}

export class DefinitionsRun {
  readonly world: World;
  readonly definers = [new Definer('a'), new Definer('b')];
  readonly #planted: Planted;
  counter = 0;
  life!: Life;
  rights!: Rights;

  constructor(seed: number, planted: Planted = {}) {
    this.world = new World(seed);
    this.#planted = planted;
  }

  /** False: it failed by a fault, or the power went. */
  async start(): Promise<boolean> {
    const { world } = this;
    this.life = new Life(world, new Model([]), { committed: () => null, flushed: () => 0 });
    const { life } = this;
    world.look = () => {
      life.look();
      return null;
    };
    try {
      await world.drive(
        life.start({ warehouse: '/sim/warehouse', segmentBytes: 2 ** 14, logBytesMax: Infinity }, this.#planted),
      );
      if (world.fs.crashed) return false;
      const stored = await world.drive(Promise.resolve(life.database.lake.readRoles(null)));
      const opened = Rights.open({
        user: 'arka',
        password: '',
        stored,
        store: (text) => life.database.lake.writeRoles(text),
      });
      const rights = await world.drive(opened);
      if (rights === null || world.fs.crashed) return false;
      this.rights = rights;
    } catch (error) {
      if (!isSimulated(error)) throw error;
      return false;
    }
    this.check();
    return true;
  }

  /** What there is is what was acknowledged, or what was under way as well. */
  check(): void {
    const { world, life } = this;
    const { schemas, tables } = life.database;
    for (const definer of this.definers) {
      const { letter, known, perhaps } = definer;
      const found = {
        schemas: new Set([...schemas].filter((name) => name.startsWith(letter))),
        tables: new Map(
          [...tables.values()].flatMap((table): [string, KnownTable][] => {
            const { schema, name, columns, indexes, sort } = table.def;
            if (!name.startsWith(letter)) return [];
            if (table.detached !== null) world.fail(`${name} is ${table.detached.message}`);
            const ids = life.visible(table).map(({ row }) => row[0]);
            const known = { sorted: sort.length > 0, indexed: indexes.length > 0, ids };
            return [[`${schema}.${name}`, { columns: columns.map((each) => each.name), ...known }]];
          }),
        ),
      };
      const isOld = shown(found, true) === shown(known, true);
      const isNew =
        perhaps !== null && shown(found, false) === shown(perhaps, false) && this.#hasRows(found, known, perhaps);
      if (!isOld && !isNew)
        world.fail(
          `M-3: ${letter} has ${shown(found, true)}, expected ${shown(known, true)}${perhaps === null ? '' : ` or ${shown(perhaps, true)}`}`,
        );
      definer.known = found;
      definer.perhaps = null;
    }
    const owned = [...this.rights.state.objects.keys()].sort();
    const there = [
      ...[...schemas].filter((name) => name !== 'public').map(schemaKey),
      ...[...tables.keys()].map(tableKey),
    ].sort();
    if (JSON.stringify(owned) !== JSON.stringify(there))
      world.fail(`rights are of ${owned.join(', ')}; there is ${there.join(', ')}`);
  }

  /** Rows of the transaction under way are all there or all missing. */
  #hasRows(found: Known, known: Known, perhaps: Known): boolean {
    const ids = (all: Known): Set<number> => new Set([...all.tables.values()].flatMap((each) => each.ids));
    const [now, before, after] = [ids(found), ids(known), ids(perhaps)];
    const fresh = [...after].filter((id) => !before.has(id));
    const kept = [...after].filter((id) => before.has(id));
    const count = fresh.filter((id) => now.has(id)).length;
    return (
      kept.every((id) => now.has(id)) && (count === 0 || count === fresh.length) && now.size === kept.length + count
    );
  }

  async transaction(definer: Definer): Promise<void> {
    const { world, life } = this;
    const { database } = life;
    const transaction = database.begin(true);
    const hold = database.locks.open(() => transaction);
    const changes = (transaction.definitions = new SchemaChanges(database, transaction, hold));
    const step = new Step(this, life, changes, definer);
    try {
      for (let count = 1 + world.below(4); count > 0; count--) {
        const before = { known: step.known, rights: step.rights };
        const savepoint = world.chance(0.3);
        if (savepoint) transaction.savepoint();
        step.rights = [...step.rights];
        await step.run();
        if (savepoint && world.chance(0.4)) {
          transaction.rollbackTo(0);
          Object.assign(step, before);
        }
        if (savepoint) transaction.releaseTo(0);
      }
      if (world.chance(0.1)) return;
      life.changes.set(transaction.id, []);
      definer.perhaps = step.known;
      const { rights } = step;
      const change: RoleChange = (state) => rights.reduce((before, each) => each(before), state);
      const withRights: WithRights = (store) => this.rights.changeWith(change, store);
      await commitDefinitions(database, transaction, changes, withRights);
      definer.known = step.known;
      definer.perhaps = null;
    } catch (error) {
      if (!world.fs.crashed && !changes.isCommitted && codeOf(error) !== SqlState.transactionResolutionUnknown)
        definer.perhaps = null; // nothing of it
      throw error;
    } finally {
      if (transaction.state !== 'done') transaction.finish();
      database.locks.close(hold);
    }
  }

  /** Ends the life where what became of a transaction is not known. */
  tolerate(error: unknown, where: string): void {
    if (error instanceof Violation) throw error;
    if (error instanceof SqlError && error.code === SqlState.transactionResolutionUnknown) this.world.halt();
    this.world.trace(`${where}: ${(error as Error).message}`);
    if (!isSimulated(error) && !EXPECTED.has(codeOf(error))) this.world.fail(`${where}: ${(error as Error).stack}`);
  }

  async session(definer: Definer, transactions: number): Promise<void> {
    const { world, life } = this;
    for (let i = 0; i < transactions && life.fatal === null && !world.fs.crashed; i++) {
      await world.turn('a session');
      await world
        .during(`a transaction of ${definer.letter}`, this.transaction(definer))
        .catch((error: unknown) => this.tolerate(error, 'transaction'));
      world.progress();
      if (definer.perhaps !== null) return; // what became of it a start says
    }
  }

  async maintenance(moves: number): Promise<void> {
    const { world, life } = this;
    for (let i = 0; i < moves && life.fatal === null && !world.fs.crashed; i++) {
      for (let pause = world.below(30); pause > 0; pause--) await world.turn('a pause');
      const { database } = life;
      const table = [...database.tables.values()][world.below(Math.max(1, database.tables.size))];
      const kind = world.below(4);
      const work =
        kind === 0 || table === undefined
          ? database.checkpoint()
          : kind === 1
            ? database.flush(table, 'sim')
            : kind === 2
              ? database.commit(table, 'sim')
              : database.refresh(table);
      await work.catch((error: unknown) => this.tolerate(error, 'maintenance'));
    }
  }

  async live(faults: World['faults']): Promise<void> {
    const { world } = this;
    world.faults = NO_FAULTS; // what a start meets is of storage.test.ts
    if (faults.crashWithin > 0 && world.chance(0.8)) world.fs.crashIn = world.below(faults.crashWithin);
    const started = await this.start();
    world.faults = faults;
    if (started)
      await world.drive(
        Promise.all([
          ...this.definers.map((each) => this.session(each, 2 + world.below(4))),
          this.maintenance(world.below(6)),
        ]),
      );
    if (world.fs.crashed || world.chance(0.5)) {
      await (world.chance(0.5) ? world.restartPower() : world.endProcess());
      return;
    }
    world.faults = NO_FAULTS;
    world.fs.crashIn = Infinity;
    if (this.life.ready && this.life.fatal === null) await world.drive(this.life.stop());
    await world.endProcess();
  }

  /** What is there at the end is there, in memory and by a start. */
  async finish(): Promise<void> {
    const { world } = this;
    world.faults = NO_FAULTS;
    world.fs.crashIn = Infinity;
    if (!(await this.start())) world.fail('a start without faults failed');
    await world.drive(this.life.database.checkpoint());
    await world.drive(this.life.stop());
    await world.restartPower();
    if (!(await this.start())) world.fail('the last start failed');
    await world.drive(this.life.stop());
  }
}

/** @throws {Violation} naming the seed */
export async function runDefinitions(seed: number, lives: number, planted: Planted = {}): Promise<void> {
  await loadS3();
  const run = new DefinitionsRun(seed, planted);
  const { world } = run;
  try {
    for (let life = 0; life < lives; life++)
      await run.live({
        ...NO_FAULTS,
        io: world.chance(0.3) ? 0.02 : 0,
        sqlite: world.chance(0.4) ? 0.05 : 0,
        unheard: world.chance(0.4) ? 0.1 : 0,
        crashWithin: 250,
      });
    await run.finish();
  } catch (error) {
    if (error instanceof SqlError) world.fail(`unexpected: ${error.stack}`);
    throw error;
  } finally {
    simulate(null);
    simulateS3(null);
  }
}
