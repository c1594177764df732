/** COPY … FROM STDIN: what a client sends, parsed into the transaction's rows as it comes. Returns the command tag. */
import { SqlError, SqlState } from './errors.ts';
import { CopyBinaryParser } from './ingest/copy-binary.ts';
import { CopyCsvParser } from './ingest/copy-csv.ts';
import { CopyTextParser } from './ingest/copy-text.ts';
import { RowWriter } from './ingest/row-writer.ts';
import { streamRows } from './ingest/stream-writes.ts';
import { insertRows } from './ingest/write-rows.ts';
import type { Statement } from './planner/plan.ts';
import type { Output } from './wire/gateway-api.ts';
import { liveTable } from './gateway-cursor.ts';
import { checkSize, contextOf, type WriteEnvironment } from './gateway-write-environment.ts';

type CopyFrom = Extract<Statement, { kind: 'copyFrom' }>;

/** Rows between two checks of keys. */
const CHECK_ROWS = 8192;

export async function copyFrom(environment: WriteEnvironment, statement: CopyFrom, out: Output): Promise<string> {
  const { database, transaction } = environment;
  const table = liveTable(environment.database, statement.def);
  const writes = transaction.of(table);
  const writer = new RowWriter(table.def, statement.fieldIds, writes.inserted, environment.time);
  const parser = copyParser(statement, writer);
  const from = writes.inserted.rows;
  let checked = from;
  const check = (): Promise<void> | null => {
    const start = checked;
    checked = writes.inserted.rows;
    checkSize(environment, writes);
    return insertRows(contextOf(environment), transaction, writes, start, table.def.onConflict === 'upsert');
  };
  let isCancelled = false;
  const cancel = (): void => {
    isCancelled = true; // as PostgreSQL does it: with the next message of the client
  };
  await out.copyIn(statement.fieldIds.length, statement.options.format === 'binary' ? 1 : 0, {
    heldBytes: () => parser.heldBytes,
    data: (bytes) => {
      environment.running(cancel); // a wait for a key has put itself in its place
      if (isCancelled) throw new SqlError(SqlState.queryCanceled, 'canceling statement due to user request');
      parser.push(bytes);
      if (writes.inserted.rows - checked < CHECK_ROWS && !database.pressed) return undefined;
      const pending = check();
      const behind = streamRows(database.log, transaction, writes);
      if (!database.pressed) return pending === null ? behind : pending.then(() => behind);
      return Promise.all([pending, behind]).then(() => database.admit());
    },
  });
  parser.finish();
  const pending = check();
  if (pending !== null) await pending;
  return `COPY ${writes.inserted.rows - from}`;
}

function copyParser(
  { def, fieldIds, options }: CopyFrom,
  writer: RowWriter,
): { readonly heldBytes: number; push(bytes: Uint8Array): void; finish(): void } {
  const columns = fieldIds.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!.name);
  const target = { table: def.name, columns };
  if (options.format === 'binary') {
    writer.useBinary();
    return new CopyBinaryParser(target, writer);
  }
  const { delimiter, header, quote, escape } = options;
  if (options.format === 'csv')
    return new CopyCsvParser({ ...target, delimiter, null: options.null, header, quote, escape }, writer);
  return new CopyTextParser({ ...target, delimiter, null: options.null, header }, writer);
}
