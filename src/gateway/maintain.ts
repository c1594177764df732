/**
 * CHECKPOINT, CALL and VACUUM: what moves rows and files because somebody asks for it. It would go on by itself as well, so a cancel
 * ends the statement's wait, and what has begun comes to its end: of VACUUM FULL the files that are being written.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { nameOf, type Database } from '../ingest/database.ts';
import { vacuum, vacuumFull } from '../ingest/vacuum.ts';
import type { Statement } from '../planner/plan.ts';
import { unlessCanceled, type Running } from '../running.ts';
import type { Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';

type Maintenance = Extract<Statement, { kind: 'checkpoint' | 'call' | 'vacuum' }>;

/** The command tag. `info`: what VACUUM (VERBOSE) has to say. @throws {SqlError} 57014 */
export async function maintain(
  database: Database,
  statement: Maintenance,
  info: (message: string) => void,
  running: Running,
): Promise<string> {
  switch (statement.kind) {
    case 'checkpoint':
      await unlessCanceled(running, database.checkpoint());
      database.sequences.checkpointed();
      return 'CHECKPOINT';
    case 'call': {
      const table = live(database, statement.def);
      if (table.temporary && statement.procedure === 'commit')
        throw notSupported('arka.commit of a temporary table, which is never in Iceberg,');
      const { procedure } = statement;
      await unlessCanceled(
        running,
        procedure === 'flush' ? database.flush(table, 'call') : database.commit(table, 'call'),
      );
      return 'CALL';
    }
    default: {
      const tables =
        statement.defs?.map((def) => live(database, def)) ??
        [...database.tables.values()].filter(({ detached }) => detached === null);
      for (const table of tables)
        if (!table.dropped && !table.temporary)
          await vacuumTable(database, table, statement.full, statement.verbose ? info : () => {}, running);
      return 'VACUUM';
    }
  }
}

async function vacuumTable(
  database: Database,
  table: Table,
  full: boolean,
  info: (message: string) => void,
  running: Running,
): Promise<void> {
  if (full) {
    const before = table.files.length;
    let isWanted = true;
    const rewritten = vacuumFull(database, table, () => isWanted);
    await unlessCanceled(running, rewritten, () => (isWanted = false));
    info(`"${nameOf(table)}": ${before} files became ${table.files.length}`);
  }
  const { expiredFiles, expiredSnapshots, orphanFiles } = await unlessCanceled(running, vacuum(database, table));
  info(
    `"${nameOf(table)}": ${expiredSnapshots} snapshots expired, ${expiredFiles} expired and ${orphanFiles} unknown files removed`,
  );
}

function live(database: Database, { schema, name }: TableDef): Table {
  const table = database.table(schema, name);
  if (table === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${schema}.${name}" does not exist`);
  return table;
}
