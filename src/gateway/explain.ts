/** EXPLAIN: the tiers, the units read, the units pruned with the reason, and how they are merged. */
import type { Transaction } from '../ingest/transaction.ts';
import type { Statement } from '../planner/plan.ts';
import { lsnText } from '../types/pg-lsn.ts';
import { unitsOf } from './cursor.ts';
import { explainedJson } from './explain-json.ts';
import { indexedBy } from './indexed.ts';
import { mayResort } from './last-resort.ts';
import type { QueryEnvironment } from './query.ts';
import { markOf, routeLines } from './routes.ts';

type Explain = Extract<Statement, { kind: 'explain' }>;

const UNITS_SHOWN = 20;
const VERBS = { update: 'Update', delete: 'Delete', merge: 'Merge' } as const;

/**
 * `run` carries the inner statement out, for ANALYZE, as PostgreSQL does: what it writes is written.
 * @param current the transaction that it writes in, afterwards
 */
export async function explain(
  environment: QueryEnvironment,
  { analyze, format, inner }: Explain,
  run: (statement: Statement) => Promise<string>,
  current: () => Transaction | null,
): Promise<string[]> {
  const shown = (lines: string[]): string[] => (format === 'json' ? [explainedJson(lines)] : lines);
  const lines = describe(environment, inner);
  if (!analyze) return shown(lines);
  const table = 'def' in inner ? (environment.context.database.tableOf(inner.def.uuid) ?? null) : null;
  const mark = table === null ? null : markOf(current(), table);
  const started = environment.context.clock.monotonic();
  const tag = await run(inner);
  const elapsed = environment.context.clock.monotonic() - started;
  const routes = table === null || mark === null ? [] : indent(routeLines(current(), table, mark));
  return shown([...lines, ...routes, `Result: ${tag}`, `Execution Time: ${elapsed.toFixed(3)} ms`]);
}

function describe(environment: QueryEnvironment, statement: Statement): string[] {
  switch (statement.kind) {
    case 'query': {
      if (statement.plan.route === 'catalog') return ['PostgreSQL (no Arka table is read)'];
      return queryLines(environment, statement.plan);
    }
    case 'insert':
      return [
        `Insert on ${statement.def.schema}.${statement.def.name}`,
        ...(statement.source.kind === 'query'
          ? indent(describe(environment, { kind: 'query', plan: statement.source.plan }))
          : [`  Values (rows=${statement.source.rows.length})`]),
      ];
    case 'update':
    case 'delete':
    case 'merge':
      return [
        `${VERBS[statement.kind]} on ${statement.def.schema}.${statement.def.name}`,
        ...indent(queryLines(environment, statement.plan, statement.kind === 'merge' ? null : statement.copied)),
      ];
    case 'with':
      return [
        ...[...statement.before, ...statement.after.toReversed()].flatMap((part) => [
          `CTE ${part.name}`,
          ...indent(describe(environment, part.statement)),
        ]),
        ...describe(environment, statement.main),
      ];
    default:
      return [`${statement.kind} (not planned)`];
  }
}

const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

type Plan = Extract<Statement, { kind: 'query' }>['plan'];

/** @param change how PostgreSQL itself would find the rows of an UPDATE or DELETE */
function queryLines(
  environment: QueryEnvironment,
  plan: Plan,
  change: (() => { readonly query: Plan }) | null = null,
): string[] {
  try {
    return scanLines(environment, plan);
  } catch (error) {
    if (!mayResort(change === null ? plan : change().query, error)) throw error;
    const { rowsMax } = environment.context.copies;
    return [`PostgreSQL over a copy of at most ${rowsMax} rows (engine: ${error.message})`];
  }
}

function scanLines(environment: QueryEnvironment, plan: Extract<Statement, { kind: 'query' }>['plan']): string[] {
  const none = { typeOid: 0, text: null };
  const values = Array.from({ length: 100 }, () => none);
  const rendered = plan.render(values);
  const point = plan.point?.read(values) ?? null;
  const lines: string[] = [];
  const indexed = point === null ? rendered.indexed : null;
  const index = indexed === null ? null : indexedBy(environment, indexed);
  if (point !== null) lines.push(`Point Read on ${point.def.schema}.${point.def.name} (index of memory rows first)`);
  else if (index !== null)
    lines.push(`Index Scan using ${index} on ${indexed!.def.schema}.${indexed!.def.name} (memory rows alone)`);
  else if (plan.counts !== undefined) {
    const { schema, name } = plan.counts.def;
    lines.push(`Row Count of ${schema}.${name} (rows less deletions of these units; none is read)`);
  } else lines.push('Engine (DuckDB)');
  const { database } = environment.context;
  const { transaction, timeZone } = environment;
  const scanned = unitsOf(database, { rendered, tables: plan.tables, transaction, timeZone });
  for (const [place, { table, units, index: by }] of scanned.entries()) {
    if (table === null) {
      lines.push(`  ->  CTE Scan on ${plan.tables[place]!.def.name}`);
      continue;
    }
    const feed = plan.tables[place]!.feed;
    if (feed !== undefined) {
      const since = feed.since.kind === 'lsn' ? lsnText(feed.since.lsn) : `$${feed.since.index}`;
      lines.push(`  ->  Log Scan of changes of ${table.def.schema}.${table.def.name} (since=${since})`);
      continue;
    }
    const read = units.filter((unit) => unit.pruned === null);
    lines.push(
      `  ->  Merge of units of ${table.def.schema}.${table.def.name} (read=${read.length} pruned=${units.length - read.length})`,
    );
    for (const tier of ['memory', 'disk', 'iceberg'] as const) {
      const own = units.filter((unit) => unit.tier === tier);
      if (own.length === 0) continue;
      const scans = { memory: by === null ? 'MemSlice Scan' : `Index Scan using ${by}` };
      const label = { ...scans, disk: 'Disk Scan', iceberg: 'Iceberg Scan' }[tier];
      const ownRead = own.filter((unit) => unit.pruned === null);
      lines.push(
        `        ->  ${label} (tier=${tier} units=${ownRead.length} rows=${ownRead.reduce((sum, unit) => sum + unit.rows, 0)} pruned=${own.length - ownRead.length})`,
      );
      for (const unit of own.slice(0, UNITS_SHOWN))
        lines.push(
          `              ${unit.pruned === null ? 'read' : 'pruned'}: ${unit.name} (rows=${unit.rows})${unit.pruned === null ? '' : `: ${unit.pruned}`}`,
        );
      if (own.length > UNITS_SHOWN) lines.push(`              … and ${own.length - UNITS_SHOWN} more`);
    }
  }
  return lines;
}
