/**
 * A session that says everything the server said: columns with their types, rows as texts, the command tag, the error with its
 * fields. Over a socket for Arka and PostgreSQL, in the process for PGlite (PostgreSQL in WebAssembly).
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { PGlite } from '@electric-sql/pglite';
import { parse, serialize } from 'pg-protocol';

/** A statement: a text goes as a Query message, one with values through the extended protocol. */
export type Step = string | StepWithValues | StepWithData;
export interface StepWithValues {
  readonly sql: string;
  readonly values: readonly (string | null)[];
  /** Rows are taken in portions, by as many Execute messages. */
  readonly portions?: readonly number[];
}
/** A COPY … FROM STDIN with all its data behind it. */
export interface StepWithData {
  readonly sql: string;
  readonly data: string;
}

export interface Outcome {
  /** Name and type OID of each column; null: the statement returns no rows. */
  readonly columns: readonly (readonly [string, number])[] | null;
  readonly rows: readonly (readonly (string | null)[])[];
  readonly tag: string | null;
  readonly error: Readonly<Record<string, string>> | null;
  readonly status: string;
}

export interface Session {
  readonly name: string;
  /** What pg_blocking_pids() takes; 0 for PGlite. */
  readonly pid: number;
  run(step: Step): Promise<Outcome>;
  close(): Promise<void>;
}

/** What the parsers of `pg-protocol` and of PGlite give. */
interface Message {
  readonly name: string;
  readonly fields?: readonly ({ readonly name: string; readonly dataTypeID: number } | string | null)[];
  readonly text?: string;
  readonly status?: string;
  readonly processID?: number;
}

const ERROR_FIELDS = [
  'code',
  'message',
  'detail',
  'hint',
  'position',
  'schema',
  'table',
  'column',
  'constraint',
] as const;

export function outcomeOf(messages: readonly Message[]): Outcome {
  let columns: [string, number][] | null = null;
  const rows: (string | null)[][] = [];
  let tag: string | null = null;
  let error: Record<string, string> | null = null;
  let status = '';
  for (const message of messages) {
    if (message.name === 'rowDescription')
      columns = (message.fields as { name: string; dataTypeID: number }[]).map((field) => [
        field.name,
        field.dataTypeID,
      ]);
    else if (message.name === 'dataRow') rows.push([...(message.fields as (string | null)[])]);
    else if (message.name === 'commandComplete') tag = message.text!;
    else if (message.name === 'readyForQuery') status = message.status!;
    else if (message.name === 'error') {
      const fields = message as unknown as Record<string, string | undefined>;
      error = {};
      for (const field of ERROR_FIELDS) if (fields[field] !== undefined) error[field] = fields[field];
      // Arka says which column's value an input function refused, PostgreSQL does not.
      if (error['hint']?.startsWith('Perhaps you meant') === true) delete error['hint'];
      if (error['code']?.startsWith('22') === true) delete error['column'];
    }
  }
  return { columns, rows, tag, error, status };
}

function messagesOf(step: Step): Buffer {
  if (typeof step === 'string') return serialize.query(step);
  if ('data' in step)
    return Buffer.concat([serialize.query(step.sql), serialize.copyData(Buffer.from(step.data)), serialize.copyDone()]);
  return Buffer.concat([
    serialize.parse({ text: step.sql }),
    serialize.bind({ values: [...step.values] }),
    serialize.describe({ type: 'P' }),
    ...(step.portions ?? [0]).map((rows) => serialize.execute({ rows })),
    serialize.sync(),
  ]);
}

/**
 * `postgresql://user@host:port/database`, without a password.
 * @param settings go as start-up parameters
 */
export async function openSocket(
  name: string,
  url: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Session> {
  const { hostname, port, username, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  let got: Message[] = [];
  let ready: (messages: readonly Message[]) => void = () => {};
  let failed: (error: Error) => void = () => {};
  void parse(socket, (message) => {
    got.push(message as unknown as Message);
    if (message.name !== 'readyForQuery') return;
    const whole = got;
    got = [];
    ready(whole);
  });
  socket.on('close', () => failed(new Error(`${name} closed the connection`)));
  const ask = (bytes: Buffer): Promise<readonly Message[]> =>
    new Promise((resolve, reject) => {
      ready = resolve;
      failed = reject;
      socket.write(bytes);
    });
  const started = await ask(
    serialize.startup({ user: decodeURIComponent(username), database: pathname.slice(1), ...settings }),
  );
  return {
    name,
    pid: started.find((message) => message.name === 'backendKeyData')?.processID ?? 0,
    run: async (step) => outcomeOf(await ask(messagesOf(step))),
    async close() {
      failed = () => {};
      socket.end(serialize.end());
      await once(socket, 'close');
    },
  };
}

export async function openPglite(): Promise<Session> {
  const pglite = await PGlite.create();
  return {
    name: 'PGlite',
    pid: 0,
    async run(step) {
      const { messages } = await pglite.execProtocol(messagesOf(step), { throwOnError: false });
      return outcomeOf(messages as unknown as Message[]);
    },
    close: () => pglite.close(),
  };
}
