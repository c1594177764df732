// Question: how much of PostgreSQL's own regression tests has the same answer on Arka, and is any other answer silent?
// Unit: statements, by verdict. Run: npm run test:regress -- FOLDER [--held] [--show VERDICT] [FILE …]; see README.md
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openSocket, type Outcome, type Session, type Step } from '../differential/wire.ts';
import { startServer } from '../process/server-process.ts';
import { Newer } from './newer.ts';
import { hangsOnOrder } from './row-order.ts';
import { readScript, type Statement } from './script.ts';
import { Scope, verdictOf, VERDICTS, type Verdict } from './verdict.ts';

const FILES =
  'select select_distinct select_distinct_on select_having select_implicit select_into join aggregates groupingsets window boolean char text varchar name int2 int4 int8 float4 float8 numeric date time timetz timestamp timestamptz interval uuid strings numerology json jsonb jsonb_jsonpath arrays subselect with case union limit copy copyselect prepare portals transactions expressions insert insert_conflict update delete returning merge truncate sequence bit oid horology regex random create_table temp namespace identity generated comments unicode misc_functions copy2';
const URL_DEFAULT = 'postgresql://postgres@127.0.0.1:5432/postgres';
const SETTINGS = { timezone: 'America/Los_Angeles', datestyle: 'ISO, MDY' };

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    held: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    show: { type: 'string', default: 'silent,crash' },
    out: { type: 'string' },
    'plain-tables': { type: 'boolean', default: false },
    sources: { type: 'boolean', default: false },
    'without-copies': { type: 'boolean', default: false },
  },
});
const [folder, ...asked] = positionals;
if (folder === undefined)
  throw new Error('npm run test:regress -- FOLDER: the folder with sql/ and data/, see README.md');
const oracleUrl = process.env['ARKA_TEST_POSTGRES'] ?? URL_DEFAULT;
const shown = new Set(options.show.split(','));
const totals = new Map<Verdict, number>();

/** Where rows lie, what ANALYZE has counted, and how PostgreSQL 18 prints a view. */
const LEFT_OUT = /\b(tablesample\w*|pg_stats|oid|xmin|ctid|relfilenode|reltoastrelid|pg_get_viewdef|pg_get_ruledef)\b/i;

/** One file: a database of its own on PostgreSQL, a server of its own of Arka. */
async function runFile(name: string): Promise<Map<Verdict, number>> {
  const database = `arka_regress_${process.pid}_${name}`;
  const admin = await openSocket('PostgreSQL', oracleUrl);
  await must(admin, `CREATE DATABASE ${database} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'`);
  const settings = options['without-copies'] ? { 'planner.fallback_rows': 0 } : {};
  const server = await startServer({ built: !options.sources, settings });
  try {
    const of = new URL(oracleUrl);
    of.pathname = `/${database}`;
    const pair = new Pair(
      database,
      () => openSocket('PostgreSQL', of.href, SETTINGS),
      () => openSocket('Arka', server.url, SETTINGS),
    );
    await pair.open();
    const setup = readScript(folder!, 'test_setup');
    const end = setup.findIndex(({ sql }) => /^create\s+type\s+stoplight/im.test(sql));
    for (const { step } of setup.slice(0, end)) await pair.set(step);
    const counts = await pair.runAll(name, readScript(folder!, name));
    await pair.close();
    return counts;
  } finally {
    await server[Symbol.asyncDispose]();
    await admin.run(`DROP DATABASE ${database} WITH (FORCE)`);
    await admin.close();
  }
}

async function must(session: Session, step: Step): Promise<Outcome> {
  const outcome = await session.run(step);
  if (outcome.error !== null) throw new Error(`${session.name}: ${JSON.stringify(outcome.error)}`);
  return outcome;
}

class Pair {
  #oracle!: Session;
  #arka!: Session;
  /** Names that a statement should have made or filled on Arka and did not. */
  readonly #lost = new Set<string>();
  /** Tables that a unique index was refused for. */
  readonly #doubled = new Set<string>();
  readonly #newer = new Newer(SETTINGS);
  readonly #open: readonly [() => Promise<Session>, () => Promise<Session>];
  readonly #scope = new Scope();

  readonly #database: string;

  constructor(database: string, oracle: () => Promise<Session>, arka: () => Promise<Session>) {
    this.#open = [oracle, arka];
    this.#database = database;
  }

  async open(): Promise<void> {
    this.#oracle = await this.#open[0]();
    this.#arka = await this.#open[1]();
    // A row that is made in the order of a heap is compared as a multiset; numbers as PostgreSQL 15 writes them.
    await must(this.#oracle, 'SET extra_float_digits = 1');
  }

  async close(): Promise<void> {
    await Promise.all([this.#oracle.close(), this.#arka.close(), this.#newer.close()]);
  }

  /** Of the set-up: what Arka cannot make, the statements that name it cannot use. */
  async set(step: Step): Promise<void> {
    const sql = typeof step === 'string' ? step : step.sql;
    if (/^\s*(vacuum|analyze)\b/im.test(sql) || this.#scope.leavesOut(sql)) return;
    await this.#both(sql, step);
  }

  async runAll(name: string, statements: readonly Statement[]): Promise<Map<Verdict, number>> {
    const counts = new Map<Verdict, number>();
    const lines: string[] = [];
    for (const { sql, step, isHeld } of statements) {
      const outside = this.#scope.leavesOut(sql);
      const { verdict, oracle, arka } = await this.#both(sql, step);
      if (outside || LEFT_OUT.test(sql)) continue;
      if (!isHeld) lines.push(`${verdict}\t${JSON.stringify({ sql, oracle: brief(oracle), arka: brief(arka) })}`);
      if (!options.all && isHeld !== options.held) continue;
      counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
      if (shown.has(verdict) && !isHeld) report(verdict, sql, oracle, arka);
    }
    if (options.out !== undefined) {
      mkdirSync(options.out, { recursive: true });
      writeFileSync(join(options.out, `${name}.tsv`), `${lines.join('\n')}\n`);
    }
    return counts;
  }

  async #both(sql: string, step: Step): Promise<{ verdict: Verdict; oracle: Outcome; arka: Outcome | null }> {
    const oracle = named(await this.#oracle.run(step), this.#database);
    const words = new Set(sql.toLowerCase().match(/[a-z_]\w*/g) ?? []);
    const isLost = [...this.#lost].some((name) => words.has(name) || isLike(sql, name));
    const arka = await this.#arka.run(options['plain-tables'] ? permanent(step) : step).then(named, () => null);
    const isDoubled = arka?.error?.['code'] === '42P10' || oracle.error?.['code'] === '23505';
    const isUnique = isDoubled && [...this.#doubled].some((table) => words.has(table));
    const first = verdictOf(sql, oracle, arka, isLost || isUnique);
    const verdict = arka === null ? first : await this.#excused(first, sql, step, oracle, arka);
    this.#newer.ran(sql, step);
    if (arka === null) {
      this.#arka = await this.#open[1]();
      return { verdict, oracle, arka };
    }
    if (oracle.status !== arka.status) {
      await this.#oracle.run('ROLLBACK');
      await this.#arka.run('ROLLBACK');
    }
    if (!['same', 'error', 'order', 'newer'].includes(verdict)) await this.#repair(sql, oracle, arka);
    return { verdict, oracle, arka };
  }

  /** A list of what there is has a row less for each thing that was refused. */
  #withoutLost({ rows, ...rest }: Outcome): Outcome {
    const left = rows.filter(
      (row) => !row.some((value) => this.#lost.has(value?.toLowerCase().replace(/_(?:pkey|key|idx|seq)$/, '') ?? '')),
    );
    return { ...rest, rows: left, tag: rest.tag?.replace(/\d+$/, String(left.length)) ?? null };
  }

  /** Another answer, if PostgreSQL gives it as well. */
  async #excused(first: Verdict, sql: string, step: Step, oracle: Outcome, arka: Outcome): Promise<Verdict> {
    if (first !== 'silent' && first !== 'other') return first;
    if (first === 'silent' && verdictOf(sql, this.#withoutLost(oracle), arka, false) === 'same') return 'follows';
    if (first === 'silent' && (await hangsOnOrder(this.#oracle, sql, step, oracle))) return 'order';
    return (await this.#newer.answers(sql, step, arka)) ? 'newer' : first;
  }

  /** Makes the sides alike again: a setting, or the rows of a table that a statement was to change. */
  async #repair(sql: string, oracle: Outcome, arka: Outcome): Promise<void> {
    const text = sql.replaceAll(/--[^\n]*/g, '').trim();
    const setting = /^set\s+(?:local\s+|session\s+)?(time\s+zone|\w+)/i.exec(text);
    if (setting !== null && oracle.error === null && arka.error !== null)
      await this.#oracle.run(`RESET ${setting[1]!}`);
    const made =
      /^(?:create\s+(?:or\s+replace\s+)?(?:temp\w*\s+|unlogged\s+|unique\s+)?(?:table|(?:materialized\s+)?view|index|sequence|schema|role|user)|declare|prepare)\s+(?:if\s+not\s+exists\s+)?(?:\w+\.)?"?(\w+)/i.exec(
        text,
      );
    const renamed = /^alter\s+\w+\s+(?:if\s+exists\s+)?"?\w+"?\s+rename\s+to\s+"?(\w+)/i.exec(text);
    if (renamed !== null && arka.error !== null) this.#lost.add(renamed[1]!.toLowerCase());
    if (made !== null && arka.error !== null) this.#lost.add(made[1]!.toLowerCase());
    if (made !== null && arka.error !== null)
      for (const [, other] of text.matchAll(/\breferences\s+(\w+)/gi)) this.#lost.add(other!.toLowerCase());
    const dropped =
      /^drop\s+(table|view|sequence|schema|role|user)\s+(?:if\s+exists\s+)?([\w.",\s]+?)(?:\s+(?:cascade|restrict))?;?$/i.exec(
        text,
      );
    if (dropped !== null && oracle.error === null)
      for (const name of dropped[2]!.split(',')) await this.#arka.run(`DROP ${dropped[1]!} IF EXISTS ${name} CASCADE`);
    const unique = /^create\s+unique\s+index\b[^]*?\bon\s+(?:only\s+)?(\w+)/i.exec(text);
    if (unique !== null && arka.error !== null) this.#doubled.add(unique[1]!.toLowerCase());
    const into = /\binto\s+(?:temp\w*\s+)?(?:table\s+)?(\w+)\s+from/i.exec(text);
    if (into !== null && /^select/i.test(text)) this.#lost.add(into[1]!.toLowerCase());
    if (/^create\s+schema/i.test(text) && arka.error !== null)
      for (const [, element] of text.matchAll(/\bcreate\s+(?:table|view)\s+(\w+)/gi))
        this.#lost.add(element!.toLowerCase());
    const altered = /^alter\s+table\s+(?:only\s+)?(\w+)/i.exec(text);
    if (altered !== null && arka.error !== null) this.#lost.add(altered[1]!.toLowerCase());
    const written =
      /(?:\binsert\s+into|\bupdate|\bdelete\s+from|^copy|\bmerge\s+into|\btruncate(?:\s+table)?)\s+(?:only\s+)?(?!set\b)([\w.]+)/gi;
    for (const [, table] of text.matchAll(written))
      if (!(await this.#copyRows(table!))) this.#lost.add(table!.toLowerCase());
  }

  async #copyRows(table: string): Promise<boolean> {
    const rows = await this.#oracle.run(`SELECT * FROM ${table}`);
    if (rows.error !== null || rows.rows.length > 20_000) return rows.error !== null;
    const data = rows.rows.map((row) => `${row.map(copyText).join('\t')}\n`).join('');
    if ((await this.#arka.run(`DELETE FROM ${table}`)).error !== null) return false;
    return (await this.#arka.run({ sql: `COPY ${table} FROM STDIN`, data })).error === null;
  }
}

/** Both databases have one name, and so have schemas of temporary tables. */
function named({ rows, ...rest }: Outcome, database?: string): Outcome {
  const plain = (value: string | null): string | null =>
    value === database ? 'arka' : (value?.replace(/^pg_temp_\d+$/, 'pg_temp') ?? null);
  return { ...rest, rows: rows.map((row) => row.map(plain)) };
}

/** Names of a catalog are asked for by a pattern. */
function isLike(sql: string, name: string): boolean {
  const patterns = [...sql.matchAll(/\blike\s+'([^'%]+)%'/gi)].map(([, beginning]) => beginning!.toLowerCase());
  return /\bpg_\w+/i.test(sql) && patterns.some((beginning) => name.startsWith(beginning));
}

function permanent(step: Step): Step {
  const plain = (sql: string): string =>
    sql.replace(/^((?:\s*--[^\n]*\n)*\s*create\s+)temp(?:orary)?\s+(table|sequence|view)/i, '$1$2');
  if (typeof step === 'string') return plain(step);
  return { ...step, sql: plain(step.sql) };
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function copyText(value: string | null): string {
  return value === null ? '\\N' : value.replaceAll(/[\\\t\n\r]/g, (char) => ESCAPES[char]!);
}

function brief(outcome: Outcome | null): unknown {
  if (outcome === null) return 'the connection was lost';
  if (outcome.error !== null) return outcome.error;
  return { columns: outcome.columns, rows: outcome.rows.slice(0, 40), count: outcome.rows.length, tag: outcome.tag };
}

function report(verdict: Verdict, sql: string, oracle: Outcome, arka: Outcome | null): void {
  const cut = (text: string): string => (text.length > 900 ? `${text.slice(0, 900)} …` : text);
  console.log(
    `\n[${verdict}] ${sql}\n  PostgreSQL: ${cut(JSON.stringify(brief(oracle)))}\n  Arka:       ${cut(JSON.stringify(brief(arka)))}`,
  );
}

const lines: string[] = [];
const row = (name: string, counts: ReadonlyMap<Verdict, number>): string => {
  const n = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const passed = (counts.get('same') ?? 0) + (counts.get('error') ?? 0);
  const share = n === 0 ? '-' : `${((100 * passed) / n).toFixed(1)} %`;
  return `| ${name} | ${n} | ${share} | ${VERDICTS.map((verdict) => counts.get(verdict) ?? 0).join(' | ')} |`;
};
for (const name of asked.length > 0 ? asked : FILES.split(' ')) {
  const counts = await runFile(name);
  for (const [verdict, count] of counts) totals.set(verdict, (totals.get(verdict) ?? 0) + count);
  lines.push(row(name, counts));
  console.error(lines.at(-1));
}
console.log(
  `\n| file | statements | passed | ${VERDICTS.join(' | ')} |\n|---|---|---|${VERDICTS.map(() => '---').join('|')}|\n${lines.join('\n')}\n${row('total', totals)}`,
);
