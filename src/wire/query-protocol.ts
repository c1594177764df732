/**
 * The messages of a session that is ready: simple and extended query, statements and portals by name, errors.
 *
 * - Q1 A gateway that answers with plain values is served without a promise: pipelined messages share one turn.
 * - Q2 After an error in an extended message everything up to Sync is skipped.
 * - Q3 Portals die with their transaction, by the session's own doing: it shares their names with its cursors.
 * - Q4 This is the only place that turns a session's errors into ErrorResponse; FATAL ones end the connection.
 */
import { inFailedTransaction, notSupported, SqlError, SqlState, toSqlError } from '../errors.ts';
import type { Format } from '../types/result-column.ts';
import * as backend from './backend-messages.ts';
import type { GatewaySession, MaybePromise, Portal, Prepared } from './gateway-api.ts';
import { MessageParameters } from './bound-parameters.ts';
import { decodeUtf8, KnownName, malformed, MessageBody } from './message-body.ts';
import type { SessionOutput } from './session-output.ts';

const code = (letter: string): number => letter.charCodeAt(0);
const QUERY = code('Q');
const PARSE = code('P');
const BIND = code('B');
const DESCRIBE = code('D');
const EXECUTE = code('E');
const CLOSE = code('C');
const FLUSH = code('H');
const SYNC = code('S');
const FUNCTION_CALL = code('F');
const COPY_DATA = code('d');
const COPY_DONE = code('c');
const COPY_FAIL = code('f');
const STATEMENT = code('S');
const PORTAL = code('P');

const NO_FORMATS: readonly Format[] = [];
const ONE_FORMAT: readonly [readonly Format[], readonly Format[]] = [[0], [1]];

/** What the protocol asks of its connection. */
export interface ProtocolHost {
  fatal(error: SqlError): void;
  log(error: unknown, where: string): void;
}

function after<T>(value: MaybePromise<T>, next: (value: T) => void): MaybePromise<void> {
  if (value instanceof Promise) return value.then(next);
  next(value);
  return undefined;
}

export class QueryProtocol {
  readonly #session: GatewaySession;
  readonly #out: SessionOutput;
  readonly #host: ProtocolHost;
  readonly #statements: Map<string, Prepared>;
  readonly #portals: Map<string, Portal>;
  #skipping = false;
  readonly #portalName = new KnownName();
  readonly #statementName = new KnownName();

  constructor(session: GatewaySession, out: SessionOutput, host: ProtocolHost) {
    this.#session = session;
    this.#statements = session.statements;
    this.#portals = session.portals;
    this.#out = out;
    this.#host = host;
  }

  /** One message; Terminate and the messages of a COPY are the connection's. A promise: wait before the next. */
  accept(type: number, bytes: Uint8Array, start: number, end: number): MaybePromise<void> {
    if (this.#skipping && type !== SYNC) return undefined;
    try {
      const pending = this.#dispatch(type, new MessageBody(bytes, start, end));
      if (!(pending instanceof Promise)) return undefined;
      // each commit comes by here: one promise, and no function of its own
      if (type === SYNC) return pending.then(this.#synced, this.#syncFailed);
      return pending.catch((error: unknown) => this.#fail(type, error));
    } catch (error) {
      this.#fail(type, error);
    }
    return undefined;
  }

  #sync(): MaybePromise<void> {
    const pending = this.#session.sync();
    if (!(pending instanceof Promise)) this.ready();
    return pending;
  }

  readonly #synced = (): void => this.ready();
  readonly #syncFailed = (error: unknown): void => this.#fail(SYNC, error);

  ready(): void {
    this.#session.ready?.();
    backend.readyForQuery(this.#out.writer, this.#session.status());
  }

  #dispatch(type: number, body: MessageBody): MaybePromise<void> {
    switch (type) {
      case QUERY:
        return this.#query(body);
      case PARSE:
        return this.#parse(body);
      case BIND:
        return this.#bind(body);
      case DESCRIBE:
        return this.#describe(body);
      case EXECUTE:
        return this.#execute(body);
      case CLOSE:
        return this.#close(body);
      case SYNC:
        this.#skipping = false;
        body.done();
        return this.#sync();
      case FLUSH:
        return body.done(); // everything processed so far leaves at the end of the turn anyway
      case FUNCTION_CALL:
        throw notSupported('the function call message');
      // Left over from a COPY that failed early: PostgreSQL ignores them too.
      case COPY_DATA:
      case COPY_DONE:
      case COPY_FAIL:
        return undefined;
      default: // 'p' outside authentication
        return this.#host.fatal(
          new SqlError(SqlState.protocolViolation, `invalid frontend message type ${type}`, { severity: 'FATAL' }),
        );
    }
  }

  #query(body: MessageBody): MaybePromise<void> {
    const { transcoder } = this.#out;
    const sql = transcoder === null ? body.stringBytes() : transcoder.received(body.stringBytes());
    body.done();
    this.#statements.delete('');
    this.#dropPortal('');
    const taken = this.#session.simpleBytes?.(sql, this.#out) ?? null;
    const pending = taken ?? this.#session.simple(decodeUtf8(sql, 0, sql.length), this.#out);
    return after(pending, () => this.ready());
  }

  /** A name that is often that of the message before. */
  #name(body: MessageBody, known: KnownName): string {
    return this.#out.transcoder === null ? body.name(known) : this.#string(body);
  }

  #string(body: MessageBody): string {
    const { transcoder } = this.#out;
    if (transcoder === null) return body.string();
    const utf8 = transcoder.received(body.stringBytes());
    return decodeUtf8(utf8, 0, utf8.length);
  }

  #parse(body: MessageBody): MaybePromise<void> {
    const name = this.#string(body);
    const text = this.#string(body);
    const count = body.u16();
    const oids: number[] = [];
    for (let i = 0; i < count; i++) oids.push(body.u32());
    body.done();
    if (name === '') this.#statements.delete('');
    else if (this.#statements.has(name)) {
      throw new SqlError(SqlState.duplicatePreparedStatement, `prepared statement "${name}" already exists`);
    }
    return after(this.#session.parse(text, oids), (prepared) => {
      this.#statements.set(name, prepared);
      backend.parseComplete(this.#out.writer);
    });
  }

  #bind(body: MessageBody): MaybePromise<void> {
    const portalName = this.#name(body, this.#portalName);
    const statementName = this.#name(body, this.#statementName);
    const formats = readFormats(body);
    const count = body.u16();
    const starts: number[] = [];
    const ends: number[] = [];
    for (let i = 0; i < count; i++) {
      const length = body.i32();
      const start = length === -1 ? -1 : body.skip(length);
      starts.push(start);
      ends.push(start + Math.max(0, length));
    }
    const resultFormats = readFormats(body);
    body.done();
    const prepared = this.#statement(statementName);
    checkCounts(prepared, statementName, formats, count, resultFormats);
    if (portalName === '') this.#dropPortal('');
    else if (this.#portals.has(portalName)) {
      throw new SqlError(SqlState.duplicateCursor, `cursor "${portalName}" already exists`);
    }
    const { transcoder } = this.#out;
    const given = new MessageParameters(formats, body.bytes, starts, ends);
    const parameters = transcoder === null ? given : transcoder.parameters(given, prepared);
    return after(this.#session.bind(prepared, parameters, resultFormats, portalName), (portal) => {
      this.#portals.set(portalName, portal);
      backend.bindComplete(this.#out.writer);
    });
  }

  #describe(body: MessageBody): void {
    const kind = body.u8();
    const name = this.#name(body, kind === PORTAL ? this.#portalName : this.#statementName);
    body.done();
    const out = this.#out.writer;
    if (kind === STATEMENT) {
      const prepared = this.#statement(name);
      backend.parameterDescription(out, prepared.parameterOids);
      if (prepared.columns === null) backend.noData(out);
      else this.#out.rowDescription(prepared.columns, NO_FORMATS);
    } else if (kind === PORTAL) {
      const portal = this.#portal(name);
      if (portal.columns === null) backend.noData(out);
      else if (this.#out.transcoder === null) portal.described.write(out, portal.columns, portal.formats);
      else this.#out.rowDescription(portal.columns, portal.formats);
    } else throw malformed(`invalid DESCRIBE message subtype ${kind}`);
  }

  #execute(body: MessageBody): MaybePromise<void> {
    const name = this.#name(body, this.#portalName);
    const maxRows = body.i32();
    body.done();
    const portal = this.#portal(name);
    this.#out.transcoder?.describe(portal.columns ?? [], portal.formats);
    return this.#session.execute(portal, maxRows < 0 ? 0 : maxRows, this.#out);
  }

  #close(body: MessageBody): void {
    const kind = body.u8();
    const name = this.#string(body);
    body.done();
    if (kind === STATEMENT) this.#statements.delete(name);
    else if (kind === PORTAL) {
      this.#dropPortal(name);
    } else throw malformed(`invalid CLOSE message subtype ${kind}`);
    backend.closeComplete(this.#out.writer);
  }

  #statement(name: string): Prepared {
    const prepared = this.#statements.get(name);
    if (prepared !== undefined) return prepared;
    const message =
      name === '' ? 'unnamed prepared statement does not exist' : `prepared statement "${name}" does not exist`;
    throw new SqlError(SqlState.invalidSqlStatementName, message);
  }

  #portal(name: string): Portal {
    const portal = this.#portals.get(name);
    if (portal !== undefined) return portal;
    // its portals are gone with the statement that failed: PostgreSQL has them still, and refuses to run them
    if (this.#session.status() === 'E') throw inFailedTransaction();
    throw new SqlError(SqlState.invalidCursorName, `portal "${name}" does not exist`);
  }

  #dropPortal(name: string): void {
    const portal = this.#portals.get(name);
    if (portal === undefined) return;
    this.#portals.delete(name);
    try {
      portal.close();
    } catch (error) {
      this.#host.log(error, 'closing a portal');
    }
  }

  #fail(type: number, thrown: unknown): void {
    if (!(thrown instanceof SqlError)) this.#host.log(thrown, 'session');
    const error = toSqlError(thrown);
    if (error.severity !== 'ERROR') return this.#host.fatal(error);
    backend.errorResponse(this.#out.writer, error, 'ERROR');
    if (type === QUERY || type === FUNCTION_CALL) return this.ready();
    this.#session.failed();
    if (type === SYNC) return this.ready();
    this.#skipping = true;
    return undefined;
  }
}

function readFormats(body: MessageBody): readonly Format[] {
  const count = body.u16();
  if (count === 0) return NO_FORMATS;
  if (count === 1) return ONE_FORMAT[readFormat(body)];
  const formats: Format[] = [];
  for (let i = 0; i < count; i++) formats.push(readFormat(body));
  return formats;
}

function readFormat(body: MessageBody): Format {
  const format = body.u16();
  if (format === 0 || format === 1) return format;
  throw new SqlError(SqlState.invalidParameterValue, `unsupported format code: ${(format << 16) >> 16}`);
}

function checkCounts(
  prepared: Prepared,
  name: string,
  formats: readonly Format[],
  values: number,
  resultFormats: readonly Format[],
): void {
  if (formats.length > 1 && formats.length !== values) {
    throw malformed(`bind message has ${formats.length} parameter formats but ${values} parameters`);
  }
  const required = prepared.parameterOids.length;
  if (values !== required) {
    throw malformed(
      `bind message supplies ${values} parameters, but prepared statement "${name}" requires ${required}`,
    );
  }
  const columns = prepared.columns?.length ?? 0;
  if (prepared.columns !== null && resultFormats.length > 1 && resultFormats.length !== columns) {
    throw malformed(`bind message has ${resultFormats.length} result formats but query has ${columns} columns`);
  }
}
