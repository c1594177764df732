/**
 * What the protocol layer needs from the rest: `wire/` owns this interface, `src/gateway/gateway.ts` fills it.
 *
 * wire knows messages, portals' names, skipping until Sync and back-pressure of sockets; it knows no SQL.
 * A gateway knows statements and transactions; it knows no socket. Every function may throw or reject with
 * `SqlError`; wire alone turns it into an ErrorResponse.
 */
import type { SqlError } from '../errors.ts';
import type { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { DescribedRow } from './described-row.ts';
import type { Credential } from './scram-exchange.ts';

export type MaybePromise<T> = T | Promise<T>;
export type TransactionStatus = 'I' | 'T' | 'E';

export interface Gateway {
  /** What a client of that name must prove first, whether or not somebody has it; null: nothing. @throws {SqlError} 57P03 */
  credential(user: string): Credential | null;
  /** A new session, of a client that has proven what it had to; rejects with FATAL errors (3D000, 28000, 53300, 57P03). */
  open(startup: ReadonlyMap<string, string>, events: SessionEvents, client: ClientFacts): Promise<GatewaySession>;
  /** CancelRequest: ends the statement under way in that session with 57014; a wrong key does nothing. */
  cancel(pid: number, key: Uint8Array): void;
}

export interface ClientFacts {
  /** How long its cancel key may be. */
  readonly cancelKeyBytes: number;
  /** Sessions of clients, with this one. */
  readonly sessions: number;
  /** Where it calls from, and what it called. */
  readonly address: string;
  readonly port: number;
  readonly serverAddress: string;
  readonly serverPort: number;
}

/** What a session may say outside an answer. */
export interface SessionEvents {
  /** ParameterStatus, after SET of a reported setting. */
  parameter(name: string, value: string): void;
  /** The client speaks so from now on, by PostgreSQL's name; ParameterStatus of it follows. */
  encoding(name: string): void;
  notice(notice: Notice): void;
  /** NotificationResponse. False: the client takes no more for now, and `drained` follows. */
  notification(pid: number, channel: string, payload: string): boolean;
  /** Ends the connection with a FATAL error. */
  terminate(error: SqlError): void;
}
export interface Notice {
  readonly severity: 'NOTICE' | 'WARNING' | 'INFO';
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
}

export interface GatewaySession {
  readonly pid: number;
  /** What a CancelRequest must know. */
  readonly cancelKey: Uint8Array;
  /** ParameterStatus at start-up, in order. */
  readonly parameters: ReadonlyMap<string, string>;
  /** By name, '' the unnamed one: what Parse messages, and the session's own PREPARE, have made. */
  readonly statements: Map<string, Prepared>;
  /** By name: what Bind messages, and the session's own DECLARE, have made. The session takes out what ends with its transaction. */
  readonly portals: Map<string, Portal>;
  /** For ReadyForQuery: idle, in a transaction block, in a failed one. */
  status(): TransactionStatus;
  /** Before each ReadyForQuery: the client has the word. */
  ready?(): void;
  /** The client takes more again. */
  drained?(): void;
  /** A Query message: its statements one after another, outside a block as one implicit transaction. */
  simple(text: string, out: Output): MaybePromise<void>;
  /** A Query message that is read from its bytes, which stay as they are; null: `simple` takes its text. */
  simpleBytes?(sql: Uint8Array, out: Output): MaybePromise<void> | null;
  /** A Parse message. 0 in `parameterOids`, or a shorter list, means: infer it. */
  parse(text: string, parameterOids: readonly number[]): MaybePromise<Prepared>;
  /** A Bind message. The views in `parameters` stay as they are for as long as the portal, called `name`, holds them. */
  bind(
    prepared: Prepared,
    parameters: BoundParameters,
    resultFormats: readonly Format[],
    name: string,
  ): MaybePromise<Portal>;
  /** An Execute message: rows, then CommandComplete or PortalSuspended. `maxRows` 0: all. */
  execute(portal: Portal, maxRows: number, out: Output): MaybePromise<void>;
  /** A Sync message: an implicit transaction of the extended protocol commits here. */
  sync(): MaybePromise<void>;
  /** After a turn of input of so many bytes: what must be waited for before the next; null: nothing. */
  owes?(bytes: number): Promise<void> | null;
  /** Bytes that it holds for its client: parameters of portals, say. */
  heldBytes?(): number;
  /** An error was sent for an extended message; a block becomes failed, an implicit transaction is rolled back. */
  failed(): void;
  /** The connection is gone or said Terminate. Rolls back; idempotent. */
  close(): Promise<void>;
}

export interface Prepared {
  readonly parameterOids: readonly number[];
  /** Null: the statement returns no rows (NoData). */
  readonly columns: readonly ResultColumn[] | null;
}
export interface Portal {
  readonly columns: readonly ResultColumn[] | null;
  /** One format a column, already spread from the 0, 1 or n codes of Bind. */
  readonly formats: readonly Format[];
  /** Of its prepared statement. */
  readonly described: DescribedRow;
  close(): void;
}
/** The values of a Bind: `formats` has 0, 1 or n codes as in the message; value i is bytes[starts[i], ends[i]), or NULL where its start is -1. */
export interface BoundParameters {
  readonly formats: readonly Format[];
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** The same as views, null for NULL. */
  readonly values: readonly (Uint8Array | null)[];
  /** What has been kept of values that were read, by place; null: they have not been read. */
  kept: readonly (ColumnVector | undefined)[] | null;
}

/** Where answers go. A returned promise means the socket is full: wait before writing more. */
export interface Output {
  rowDescription(columns: readonly ResultColumn[], formats: readonly Format[]): void;
  /** Complete DataRow ('D', length, …) or, after `copyOut`, CopyData messages ('d', …), any number of them. Nobody writes over them any more. */
  dataRows(messages: Uint8Array): MaybePromise<void>;
  /** For a few rows made on the main thread: append complete DataRow messages here. */
  readonly writer: ByteWriter;
  commandComplete(tag: string): void;
  portalSuspended(): void;
  emptyQuery(): void;
  /**
   * CopyInResponse, then each CopyData to `sink`. Resolves after CopyDone; rejects with 57014 after CopyFail,
   * or with the sink's error at once; the data that follows is skipped. `format` 1: binary. `encoding`: by PostgreSQL's name, null: the client's.
   */
  copyIn(columnCount: number, format: Format, encoding: string | null, sink: CopySink): Promise<void>;
  /** CopyOutResponse; then CopyData messages by `dataRows`, and `copyDone`. An error ends it, too. */
  copyOut(columnCount: number, format: Format, encoding: string | null): void;
  copyDone(): void;
}
export interface CopySink {
  /** Bytes of the data that it holds: a line or value under way, say. */
  heldBytes?(): number;
  /** The view holds only until this returns. A promise pauses the socket. */
  data(bytes: Uint8Array): MaybePromise<void>;
}
