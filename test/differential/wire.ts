/**
 * A session that says everything the server said: columns with their types, rows as texts, the command tag, the error with its
 * fields. Over a socket for Arka and PostgreSQL, in the process for PGlite (PostgreSQL in WebAssembly).
 */
import { PGlite } from '@electric-sql/pglite';
import { serialize } from 'pg-protocol';
import { commandTag, describedFields, errorFields, rowFields, WireConnection } from '../process/wire-connection.ts';

/** A statement: a text goes as a Query message, one with values through the extended protocol. */
export type Step = string | StepWithValues | StepWithData | StepsOfOneSync;
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

/** Several statements of the extended protocol before one Sync; `sql` is their text. */
export interface StepsOfOneSync {
  readonly sql: string;
  readonly group: readonly StepWithValues[];
}

export interface Outcome {
  /** Name and type OID of each column; null: the statement returns no rows. */
  readonly columns: readonly (readonly [string, number])[] | null;
  readonly rows: readonly (readonly (string | null)[])[];
  /** Of several statements all, with `; ` between. */
  readonly tag: string | null;
  readonly error: Readonly<Record<string, string>> | null;
  readonly status: string;
  /** Severity, code and message of each. */
  readonly notices: readonly string[];
}

export interface Session {
  readonly name: string;
  /** What pg_blocking_pids() takes; 0 for PGlite. */
  readonly pid: number;
  run(step: Step): Promise<Outcome>;
  close(): Promise<void>;
}

/** What PGlite's parser gives. */
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
  const notices: string[] = [];
  for (const message of messages) {
    if (message.name === 'rowDescription')
      columns = (message.fields as { name: string; dataTypeID: number }[]).map((field) => [
        field.name,
        field.dataTypeID,
      ]);
    else if (message.name === 'dataRow') rows.push([...(message.fields as (string | null)[])]);
    else if (message.name === 'commandComplete') tag = tag === null ? message.text! : `${tag}; ${message.text!}`;
    else if (message.name === 'readyForQuery') status = message.status!;
    else if (message.name === 'notice') {
      const { severity, code, message: text } = message as unknown as Record<string, string>;
      notices.push(`${severity} ${code}: ${text}`);
    } else if (message.name === 'error') {
      const fields = message as unknown as Record<string, string | undefined>;
      error = {};
      for (const field of ERROR_FIELDS) if (fields[field] !== undefined) error[field] = fields[field];
      // Arka says which column's value an input function refused, PostgreSQL does not.
      if (error['hint']?.startsWith('Perhaps you meant') === true) delete error['hint'];
      if (error['code']?.startsWith('22') === true) delete error['column'];
    }
  }
  return { columns, rows, tag, error, status, notices };
}

function messagesOf(step: Step): Buffer {
  if (typeof step === 'string') return serialize.query(step);
  if ('data' in step)
    return Buffer.concat([serialize.query(step.sql), serialize.copyData(Buffer.from(step.data)), serialize.copyDone()]);
  const statements = 'group' in step ? step.group : [step];
  return Buffer.concat([...statements.flatMap(extended), serialize.sync()]);
}

function extended({ sql, values, portions = [0] }: StepWithValues): Buffer[] {
  return [
    serialize.parse({ text: sql }),
    serialize.bind({ values: [...values] }),
    serialize.describe({ type: 'P' }),
    ...portions.map((rows) => serialize.execute({ rows })),
  ];
}

const ERROR_LETTERS: Readonly<Record<(typeof ERROR_FIELDS)[number], string>> = {
  code: 'C',
  message: 'M',
  detail: 'D',
  hint: 'H',
  position: 'P',
  schema: 's',
  table: 't',
  column: 'c',
  constraint: 'n',
};

/** Of a message of the protocol what an outcome takes; null: nothing. */
function messageOf(type: number, bytes: Buffer, start: number, end: number): Message | null {
  switch (String.fromCharCode(type)) {
    case 'T': {
      const fields = describedFields(bytes, start).map(({ name, oid }) => ({ name, dataTypeID: oid }));
      return { name: 'rowDescription', fields };
    }
    case 'D':
      return { name: 'dataRow', fields: rowFields(bytes, start) };
    case 'C':
      return { name: 'commandComplete', text: commandTag(bytes, start, end) };
    case 'Z':
      return { name: 'readyForQuery', status: String.fromCharCode(bytes[start]!) };
    case 'K':
      return { name: 'backendKeyData', processID: bytes.readInt32BE(start) };
    case 'E':
    case 'N': {
      const letters = errorFields(bytes, start, end);
      const named = ERROR_FIELDS.map((name) => [name, letters.get(ERROR_LETTERS[name])]);
      const more = { severity: letters.get('V') ?? letters.get('S') };
      return { ...Object.fromEntries(named), ...more, name: type === 0x45 ? 'error' : 'notice' } as Message;
    }
    default:
      return null;
  }
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
  let got: Message[] = [];
  let ready: (messages: readonly Message[]) => void = () => {};
  let failed: (error: Error) => void = () => {};
  const answer = (): Promise<readonly Message[]> =>
    new Promise((resolve, reject) => {
      ready = resolve;
      failed = reject;
    });
  const started = answer();
  const connection = new WireConnection(
    url,
    {
      message(type, bytes, start, end) {
        const message = messageOf(type, bytes, start, end);
        if (message === null) return;
        got.push(message);
        if (message.name !== 'readyForQuery') return;
        const whole = got;
        got = [];
        ready(whole);
      },
      closed: () => failed(new Error(`${name} closed the connection`)),
    },
    settings,
  );
  const { processID = 0 } = (await started).find((message) => message.name === 'backendKeyData') ?? {};
  return {
    name,
    pid: processID,
    async run(step) {
      const answered = answer();
      connection.send(messagesOf(step));
      return outcomeOf(await answered);
    },
    close: () => connection.end(),
  };
}

export async function openPglite(): Promise<Session> {
  const pglite = await PGlite.create();
  return {
    name: 'PGlite',
    pid: 0,
    async run(step) {
      let asked = step;
      if (typeof step !== 'string' && 'data' in step) {
        await pglite._handleBlob(new Blob([step.data]));
        asked = step.sql.replace(/ FROM STDIN/, " FROM '/dev/blob'");
      }
      const { messages } = await pglite.execProtocol(messagesOf(asked), { throwOnError: false });
      return outcomeOf(messages as unknown as Message[]);
    },
    close: () => pglite.close(),
  };
}
