/**
 * Puts the parts together: threads, recovery, listener. Start order is the shutdown order, reversed; whoever opens closes.
 */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pino } from 'pino';
import { CatalogClient } from './catalog/catalog-client.ts';
import { systemClock } from './clock.ts';
import { type Config, ConfigError } from './config.ts';
import { contentsOf } from './gateway/catalog-view.ts';
import { Turns } from './gateway/last-resort.ts';
import { UnhandledLog } from './gateway/unhandled.ts';
import { createGateway } from './gateway/gateway.ts';
import { startMigration, startRefresh } from './ingest/migration.ts';
import { loadParser } from './planner/parse.ts';
import { openGuard } from './server-memory-guard.ts';
import { StartingGateway } from './gateway/starting.ts';
import { openTiers, type TierOptions } from './server-tiers.ts';
import type { Patience } from './store-patience.ts';
import { isRemote } from './storage/iceberg/paths.ts';
import type { S3Settings } from './storage/iceberg/s3-client.ts';
import { listen, type Listener } from './wire/listener.ts';
import { type TlsServer, tlsServer } from './wire/tls.ts';

export interface ArkaServer {
  /** Where clients connect, such as `postgresql://arka@127.0.0.1:5433/arka`. */
  readonly url: string;
  /** Stops accepting, ends sessions, closes all tiers. Idempotent. */
  close(): Promise<void>;
}

/** `signal` ends a start that waits for its object store. */
export async function serve(config: Config, signal?: AbortSignal): Promise<ArkaServer> {
  const logger = pino({ level: config.server.logLevel }, pino.destination(2));
  const warn = (error: unknown, where: string): void => logger.warn({ err: error }, where);
  const fatal = (error: unknown, where: string): void => {
    logger.fatal({ err: error }, where);
    logger.flush();
    process.exit(1);
  };
  const stack = new AsyncDisposableStack();
  try {
    const url = await open(config, stack, { warn, fatal, ...(signal === undefined ? {} : { signal }) });
    return { url, close: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function open(
  config: Config,
  stack: AsyncDisposableStack,
  { warn, fatal, signal }: Pick<TierOptions, 'warn' | 'fatal' | 'signal'>,
): Promise<string> {
  const clock = systemClock;
  const front = new StartingGateway();
  const { host, maxConnections, port } = config.server;
  const { warehouse } = config.catalog;
  const tls = await tlsOf(config);
  const inputBytesMax = config.memory.limit / 4;
  const listening = { host, port, maxConnections, inputBytesMax, gateway: front, clock, log: warn };
  const open = (): Promise<Listener> => listen({ ...listening, ...(tls === null ? {} : { tls }) });
  // A remote store may be waited for: clients hear so, instead of meeting a closed port.
  const early = isRemote(warehouse) ? stack.use(await open()) : null;
  const waiting: Patience['waiting'] = (error, pauseMs) => {
    warn(error, `the start waits for ${warehouse}, and tries again in ${pauseMs} ms`);
    front.waits(`waiting for ${warehouse}`);
  };
  const tiers = await openTiers(
    {
      dataDir: resolve(config.server.dataDir),
      warehouse: config.catalog.warehouse,
      catalogName: config.catalog.name,
      keepSnapshots: config.iceberg.keepSnapshots,
      maxSnapshotAgeMs: config.iceberg.maxSnapshotAge,
      fileGraceMs: config.iceberg.fileGrace,
      targetFileBytes: config.iceberg.targetFileSize,
      memoryLimit: config.memory.limit,
      memoryMarks: config.memory,
      segmentBytes: config.wal.segmentSize,
      logBytesMax: config.wal.maxSize,
      filledBytesMax: config.iceberg.maxStaged,
      logBytesKept: config.wal.keepSize,
      diskLimit: config.disk.limit,
      s3: s3Settings(config),
      superuser: config.auth,
      clock,
      waiting,
      ...(signal === undefined ? {} : { signal }),
      warn,
      fatal,
    },
    stack,
  );
  if (config.auth.method !== 'trust' && tiers.rights.state.roles.get(config.auth.user)?.password === null)
    throw new ConfigError(
      `auth.method ${config.auth.method} needs auth.password: role ${config.auth.user} has none yet`,
    );
  await loadParser();
  const { database, engine, rights, budget } = tiers;
  const guard = openGuard(tiers, warn, () => catalog);
  const catalog = new CatalogClient({
    clock,
    room: () => guard.catalog(),
    onProblem: (problem, error) => warn(error, problem),
  });
  stack.defer(() => catalog.close());
  const definitionsChanged = (): void => catalog.setContents(contentsOf(database.relations, rights.state));
  definitionsChanged();
  database.onDefinition = definitionsChanged;
  rights.onChange = definitionsChanged;
  stack.defer(startMigration(database, migrationSettings(config)));
  stack.defer(startRefresh(database, config.iceberg.refreshInterval));
  guard.start();
  stack.defer(() => guard.stop());
  const unhandled = new UnhandledLog(clock);
  const copies = { rowsMax: config.planner.fallbackRows, turns: new Turns() };
  const gateway = createGateway(
    { database, engine, rights, catalog, clock, budget, startedAt: clock.now(), unhandled, copies, definitionsChanged },
    {
      method: config.auth.method,
      maxConnections,
      defaults: new Map([['synchronous_commit', config.wal.synchronousCommit ? 'on' : 'off']]),
    },
  );
  front.ready(gateway);
  const listener = early ?? (await open());
  stack.defer(() => listener.close()); // the first to close, whenever it was opened
  stack.defer(() => database.committer.publications.end());
  database.memory.account.report('sessions', false, listener.heldBytes);
  const shown = host.includes(':') ? `[${host}]` : host;
  return `postgresql://${config.auth.user}@${shown}:${listener.port}/arka`;
}

/** Null: none is set. @throws {ConfigError} what is wrong with the files */
async function tlsOf({ server: { tlsCert, tlsKey, tlsRequired } }: Config): Promise<TlsServer | null> {
  if (tlsCert === '') return null;
  const read = (setting: string, path: string): Promise<Buffer> =>
    readFile(path).catch((error: unknown) => {
      throw new ConfigError(`setting server.${setting}: ${path}: ${(error as NodeJS.ErrnoException).code}`);
    });
  const [cert, key] = await Promise.all([read('tls_cert', tlsCert), read('tls_key', tlsKey)]);
  try {
    return tlsServer(cert, key, tlsRequired);
  } catch (error) {
    throw new ConfigError(`server.tls_cert and server.tls_key: ${(error as Error).message}`, { cause: error });
  }
}

/** A server of one's own rarely has a name for each bucket. */
function s3Settings({ s3: { endpoint, region, pathStyle } }: Config): S3Settings {
  return { endpoint, region, pathStyle: pathStyle === 'auto' ? endpoint !== '' : pathStyle };
}

function migrationSettings({ flush, iceberg, memory }: Config): Parameters<typeof startMigration>[1] {
  return {
    memoryFraction: flush.memoryFraction,
    memoryYellow: memory.yellow,
    partitionBytes: flush.partitionSize,
    flushAgeMs: flush.maxAge,
    walLagMax: flush.maxWalLag,
    cdcOperationsMax: flush.maxCdcOps,
    flushIntervalMinMs: flush.minInterval,
    commitIntervalMs: iceberg.commitInterval,
    stagedBytesMax: iceberg.maxStaged,
    pendingDeletesMax: iceberg.maxPendingDeletes,
    smallFilesMax: iceberg.maxSmallFiles,
    targetFileBytes: iceberg.targetFileSize,
    commitIntervalMinMs: iceberg.minInterval,
  };
}
