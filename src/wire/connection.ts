/**
 * One client's socket: start-up, the turn of input, back-pressure both ways, the end.
 *
 * - N1 Input is taken message by message; while a statement waits, only a COPY's messages are taken.
 * - N2 With more than `INPUT_BYTES_MAX` waiting the socket is paused; with a congested output nothing is taken.
 * - N3 `GatewaySession.close` is called exactly once per session that was opened, however the connection ends.
 * - N4 A session that has written pays for its turn of input by waiting, socket and messages with it (M-11).
 * - N5 No bytes of a client throw out of here.
 * - N6 Who must prove who he is has no session before, and messages of a few bytes only.
 * - N7 A client that sends without end lets others have their turn: the system gives up to 2 MB of one socket at a time, which as data of a
 *   COPY was a second in which no cancel was heard.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { SqlError, SqlState, toSqlError } from '../errors.ts';
import { Authentication, LOGIN_BYTES_MAX, REFUSAL_MS } from './authentication.ts';
import * as backend from './backend-messages.ts';
import { FrameReader } from './frame-reader.ts';
import type { InputBudget } from './input-budget.ts';
import type { Gateway, GatewaySession, SessionEvents } from './gateway-api.ts';
import { HandedWrite } from './handed-write.ts';
import { QueryProtocol } from './query-protocol.ts';
import { sharedReads } from './shared-reads.ts';
import { SessionOutput } from './session-output.ts';
import type { SocketWriter } from './socket-writer.ts';
import { transcoderOf } from './transcoder.ts';
import { MINOR_LONG_KEYS, parseStartupPacket, PROTOCOL_MAX, type StartupPacket } from './startup-packet.ts';
import { overTls, saidProtocol, TLS_BYTES, TLS_HANDSHAKE, type TlsServer } from './tls.ts';

const INPUT_BYTES_MAX = 64 * 1024;
/** Read of one socket before the others have their turn (N7). */
const TURN_BYTES_MAX = 256 * 1024;
/** PostgreSQL's authentication_timeout. */
const STARTUP_MS_MAX = 60_000;
/** How long a client may take to read its last error before the socket is cut. */
const LINGER_MS = 2_000;
const CLIENT_ENCODING = 'client_encoding';
const TERMINATE = 'X'.charCodeAt(0);
const SYNC = 'S'.charCodeAt(0);
/** Of protocol 3.0, and of later ones. */
const CANCEL_KEY_BYTES = 4;
const LONG_CANCEL_KEY_BYTES = 32;

export interface ConnectionHost {
  readonly gateway: Gateway;
  readonly tls: TlsServer | null;
  readonly clock: Clock;
  readonly messageBytesMax: number;
  /** What all connections hold of messages that are not whole. */
  readonly input: InputBudget;
  readonly writer: SocketWriter;
  log(error: unknown, where: string): void;
  /** False when all places are taken. */
  admit(connection: Connection): boolean;
  /** How many are admitted. */
  sessions(): number;
  /** The socket is closed and the session has ended. */
  ended(connection: Connection): void;
}

/** startup: no StartupMessage yet; proving: SASL; opening: the gateway is asked; over: no message is taken any more. */
type Phase = 'startup' | 'proving' | 'opening' | 'ready' | 'over';
type StartupMessage = Extract<StartupPacket, { kind: 'startup' }>;

export class Connection {
  readonly #host: ConnectionHost;
  #socket: Socket;
  readonly #reader: FrameReader;
  readonly #out: SessionOutput;
  #phase: Phase = 'startup';
  /** A handshake began here. */
  #secured = false;
  /** Requests that come once. */
  readonly #asked = new Set<'ssl' | 'gss'>();
  #authentication: Authentication | null = null;
  #admitted: StartupMessage | null = null;
  #session: GatewaySession | null = null;
  #protocol: QueryProtocol | null = null;
  /** A statement, or the gateway's `open`, waits for a promise. */
  #running = false;
  /** That statement is a Sync. */
  #syncing = false;
  /** A COPY's sink waits for a promise. */
  #copying = false;
  #pumping = false;
  /** Bytes of messages taken since the session was last asked what it owes. */
  #taken = 0;
  /** It pays: nothing is taken. */
  #paying = false;
  /** Bytes read since it last rested; others have their turn (N7). */
  #read = 0;
  #resting = false;
  #inputEnded = false;
  #terminating = false;
  #opening: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #cancelTimer: () => void;

  /** @param socket as it was accepted with `pauseOnConnect` */
  constructor(socket: Socket, host: ConnectionHost) {
    this.#host = host;
    this.#socket = sharedReads(socket, (bytes, length) => this.#data(bytes, length));
    this.#reader = new FrameReader(LOGIN_BYTES_MAX, host.input);
    this.#out = new SessionOutput(this.#socket, () => this.#pump());
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, 60_000);
    this.#hear(this.#socket);
    this.#cancelTimer = host.clock.after(STARTUP_MS_MAX, () => {
      this.#fatal(new SqlError(SqlState.queryCanceled, 'canceling authentication due to timeout'));
    });
  }

  #hear(socket: Socket): void {
    const unlessMoved = (work: () => void) => (): void => {
      if (socket === this.#socket) work();
    };
    socket.on(
      'drain',
      unlessMoved(() => this.#drained()),
    );
    socket.on(
      'end',
      unlessMoved(() => this.#end()),
    );
    socket.on('error', () => {}); // 'close' follows
    socket.on(
      'close',
      unlessMoved(() => this.#closed()),
    );
  }

  /** 57P01 now, or after the statement that runs. */
  terminate(): void {
    this.#terminating = true;
    this.#pump();
  }

  /** Bytes of its buffers. */
  get heldBytes(): number {
    const tls = this.#secured ? TLS_BYTES : 0;
    return this.#reader.heldBytes + this.#out.heldBytes + tls + (this.#session?.heldBytes?.() ?? 0);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #data(bytes: Uint8Array, length: number): void {
    if (this.#phase === 'over') return;
    this.#read += length;
    if (this.#read >= TURN_BYTES_MAX) this.#rest();
    try {
      this.#reader.push(bytes, length);
      this.#pump();
      this.#reader.keep();
    } catch (error) {
      this.#fatal(toSqlError(error));
    }
  }

  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    setImmediate(() => {
      this.#resting = false;
      this.#read = 0;
      this.#pump();
    });
  }

  #drained(): void {
    this.#session?.drained?.();
    this.#pump();
  }

  /** A turn: takes what can be taken, then sends what was said. */
  #pump(): void {
    if (this.#pumping || this.#phase === 'over') return;
    this.#pumping = true;
    try {
      while (this.#mayTake()) {
        if (!this.#takeOne()) {
          this.#charge();
          break;
        }
        if (this.#taken >= INPUT_BYTES_MAX) this.#charge();
      }
    } catch (error) {
      if (!(error instanceof SqlError)) this.#host.log(error, 'connection');
      this.#fatal(toSqlError(error));
    }
    this.#pumping = false;
    this.#out.together = this.#syncing; // one write, when its commit is done
    if (!this.#running) this.#out.flush();
    else if (!this.#syncing) this.#out.flushSoon();
    this.#afterTurn();
  }

  #mayTake(): boolean {
    if (this.#phase === 'over' || this.#copying || this.#paying) return false;
    if (this.#running) return this.#out.copy !== null;
    return !this.#terminating && !this.#out.congested;
  }

  #takeOne(): boolean {
    const reader = this.#reader;
    if (this.#phase === 'startup') return this.#takeStartup();
    if (!reader.next()) return false;
    if (this.#phase === 'proving') {
      this.#prove();
      return true;
    }
    this.#taken += reader.end - reader.start;
    const copy = this.#out.copy;
    if (reader.type === TERMINATE) this.#over();
    else if (copy !== null) {
      const pending = copy.accept(reader.type, reader.bytes, reader.start, reader.end);
      if (!copy.open) this.#out.copy = null;
      if (pending instanceof Promise) this.#wait(pending, 'copy');
    } else {
      const { type } = reader;
      const pending = this.#protocol!.accept(type, reader.bytes, reader.start, reader.end);
      if (pending instanceof Promise) {
        this.#syncing = type === SYNC;
        this.#wait(pending, 'statement');
      }
    }
    if (this.#out.writer.length > INPUT_BYTES_MAX && !this.#running) this.#out.flush();
    return true;
  }

  /** N4: a turn of input is over, or long. */
  #charge(): void {
    const owed = this.#taken === 0 ? null : (this.#session?.owes?.(this.#taken) ?? null);
    this.#taken = 0;
    if (owed === null || this.#phase === 'over') return;
    this.#paying = true;
    const paid = (): void => {
      this.#paying = false;
      this.#pump();
    };
    owed.then(paid, paid);
  }

  #wait(pending: Promise<void>, what: 'statement' | 'copy'): void {
    if (what === 'copy') this.#copying = true;
    else this.#running = true;
    pending.then(what === 'copy' ? this.#copied : this.#settled, this.#broken);
  }

  readonly #copied = (): void => {
    this.#copying = false;
    if (this.#out.copy?.open === false) this.#out.copy = null;
    this.#pump();
  };

  readonly #settled = (): void => {
    this.#running = false;
    this.#syncing = false;
    if (this.#out.copy !== null)
      this.#out.abortCopy(new SqlError(SqlState.queryCanceled, 'the statement of this COPY has ended'));
    this.#pump();
  };

  /** accept() never rejects but by our own bug. */
  readonly #broken = (error: unknown): void => {
    this.#host.log(error, 'connection');
    this.#fatal(toSqlError(error));
  };

  /** Flow control and the ends that had to wait. */
  #afterTurn(): void {
    if (this.#phase === 'over') return;
    if (!this.#running) {
      if (this.#terminating) {
        return this.#fatal(new SqlError(SqlState.adminShutdown, 'terminating connection due to administrator command'));
      }
      this.#out.shrink();
    }
    if (this.#inputEnded && !this.#copying && !this.#paying) {
      if (this.#out.copy !== null) {
        this.#out.abortCopy(
          new SqlError(SqlState.connectionFailure, 'unexpected EOF on client connection with an open transaction'),
        );
      } else if (!this.#running && !this.#out.congested) return this.#over();
    }
    const full = this.#paying || this.#resting || (this.#reader.buffered > INPUT_BYTES_MAX && !this.#mayTake());
    if (full !== this.#socket.isPaused()) {
      if (full) this.#socket.pause();
      else this.#socket.resume();
    }
    return undefined;
  }

  #takeStartup(): boolean {
    const { tls } = this.#host;
    const reader = this.#reader;
    if (tls !== null && !this.#secured && this.#asked.size === 0 && reader.first === TLS_HANDSHAKE) {
      this.#secure(tls, reader.takeAll());
      return true;
    }
    if (!reader.nextStartup()) return false;
    this.#startup(parseStartupPacket(reader.bytes, reader.start, reader.end));
    return true;
  }

  #startup(packet: StartupPacket): void {
    const { gateway, tls } = this.#host;
    const out = this.#out.writer;
    switch (packet.kind) {
      case 'ssl':
      case 'gss': {
        if (this.#asked.has(packet.kind) || this.#secured)
          throw new SqlError(SqlState.protocolViolation, 'encryption was asked for twice');
        this.#asked.add(packet.kind);
        const taken = packet.kind === 'ssl' && tls !== null;
        out.u8((taken ? 'S' : 'N').charCodeAt(0));
        if (taken) this.#secure(tls, null);
        return;
      }
      case 'cancel':
        gateway.cancel(packet.pid, packet.key);
        return this.#over();
      case 'startup': {
        if (packet.negotiate !== null) backend.negotiateProtocolVersion(out, PROTOCOL_MAX, packet.negotiate);
        const user = packet.parameters.get('user')!;
        if (tls?.required === true && !this.#secured) {
          throw new SqlError(
            SqlState.invalidAuthorization,
            `no entry for host "${this.#socket.remoteAddress ?? ''}", user "${user}", no encryption`,
            { hint: 'Connect with sslmode=require: server.tls_required is on.' },
          );
        }
        const credential = gateway.credential(user);
        if (credential === null) return this.#open(packet);
        this.#admitted = packet;
        this.#phase = 'proving';
        const endPoint = this.#secured ? (tls?.endPoint ?? null) : null;
        this.#authentication = new Authentication(user, credential, endPoint, out);
      }
    }
  }

  /** T1, T2. @param early of a handshake that came without a request */
  #secure(tls: TlsServer, early: Uint8Array | null): void {
    if (this.#reader.buffered > 0) {
      this.#out.writer.length = 0; // the client was to wait for the answer
      throw new SqlError(SqlState.protocolViolation, 'received unencrypted data after SSL request', {
        detail: 'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
      });
    }
    this.#out.flush();
    const secure = overTls(this.#socket, tls, early);
    this.#secured = true;
    this.#socket = secure;
    this.#out.moveTo(secure);
    this.#hear(secure);
    secure.on('data', (bytes: Uint8Array) => this.#data(bytes, bytes.length));
    secure.on('secure', () => {
      if (early !== null && !saidProtocol(secure)) {
        this.#fatal(
          new SqlError(
            SqlState.protocolViolation,
            'received direct SSL connection request without ALPN protocol negotiation extension',
          ),
        );
      }
    });
  }

  /** A message of a client that has not proven who it is. */
  #prove(): void {
    const { bytes, end, start, type } = this.#reader;
    if (type === TERMINATE) return this.#over();
    const authentication = this.#authentication!;
    switch (authentication.accept(type, bytes, start, end, this.#out.writer)) {
      case 'more':
        return;
      case 'proven':
        this.#authentication = null;
        return this.#open(this.#admitted!);
      case 'refused':
        this.#running = true; // nothing more is taken
        this.#host.clock.after(REFUSAL_MS, () => this.#fatal(authentication.refusal));
    }
  }

  /** @throws {SqlError} FATAL 53300: places are for who has proven who he is */
  #open({ minor, parameters }: StartupMessage): void {
    if (!this.#host.admit(this)) throw new SqlError(SqlState.tooManyConnections, 'sorry, too many clients already');
    this.#phase = 'opening';
    this.#running = true;
    const opened = (session: GatewaySession): Promise<void> | void => {
      if (this.#phase === 'over') {
        // the client left meanwhile
        return this.#closeSession(session);
      }
      this.#cancelTimer();
      this.#reader.messageBytesMax = this.#host.messageBytesMax;
      this.#running = false;
      this.#phase = 'ready';
      if (!this.#secured) this.#out.handed = HandedWrite.of(this.#socket, this.#host.writer);
      this.#session = session;
      this.#protocol = new QueryProtocol(session, this.#out, {
        fatal: (error) => this.#fatal(error),
        log: this.#host.log,
      });
      this.#out.speak(transcoderOf(session.parameters.get(CLIENT_ENCODING) ?? ''));
      const out = this.#out.writer;
      backend.authenticationOk(out);
      for (const [name, value] of session.parameters) backend.parameterStatus(out, name, value);
      backend.backendKeyData(out, session.pid, session.cancelKey);
      this.#protocol.ready();
      this.#pump();
    };
    const refused = (error: unknown): void => {
      if (!(error instanceof SqlError)) this.#host.log(error, 'start-up');
      this.#fatal(toSqlError(error));
    };
    // A gateway that throws instead of rejecting is caught by the turn.
    const cancelKeyBytes = minor >= MINOR_LONG_KEYS ? LONG_CANCEL_KEY_BYTES : CANCEL_KEY_BYTES;
    const { remoteAddress, remotePort, localAddress, localPort } = this.#socket;
    const client = {
      cancelKeyBytes,
      sessions: this.#host.sessions(),
      address: plainAddress(remoteAddress),
      port: remotePort ?? 0,
      serverAddress: plainAddress(localAddress),
      serverPort: localPort ?? 0,
    };
    this.#opening = this.#host.gateway.open(parameters, this.#events(), client).then(opened).catch(refused);
    void this.#opening.then(() => {
      this.#opening = null;
    });
  }

  #events(): SessionEvents {
    const say = (message: () => void): void => {
      if (this.#phase !== 'ready') return; // the values at start-up are in session.parameters
      message();
      this.#out.flushSoon();
    };
    return {
      parameter: (name, value) => say(() => backend.parameterStatus(this.#out.writer, name, value)),
      encoding: (name) => this.#out.speak(transcoderOf(name)),
      notice: (notice) => say(() => backend.noticeResponse(this.#out.writer, notice)),
      notification: (pid, channel, payload) => {
        if (this.#out.congested) return false;
        say(() => backend.notificationResponse(this.#out.writer, pid, channel, payload));
        return true;
      },
      terminate: (error) => this.#fatal(error),
    };
  }

  #fatal(error: SqlError): void {
    if (this.#phase === 'over') return;
    backend.errorResponse(this.#out.writer, error, error.severity === 'PANIC' ? 'PANIC' : 'FATAL');
    this.#over();
  }

  /** Sends what is left and closes our end; what still arrives is read and dropped, so that no reset eats the error. */
  #over(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#out.flush();
    this.#out.handed?.settle();
    this.#reader.clear();
    this.#cancelTimer();
    this.#socket.end();
    if (this.#inputEnded) this.#socket.destroySoon();
    else this.#socket.resume();
    this.#cancelTimer = this.#host.clock.after(LINGER_MS, () => this.#socket.destroy());
    this.#out.abortCopy(new SqlError(SqlState.connectionFailure, 'connection to client lost'));
    this.#endSession();
  }

  #end(): void {
    this.#inputEnded = true;
    if (this.#phase === 'over') this.#socket.destroySoon();
    else this.#pump();
  }

  #closed(): void {
    this.#phase = 'over';
    this.#cancelTimer();
    this.#reader.clear();
    this.#out.abort(new SqlError(SqlState.connectionFailure, 'connection to client lost'));
    this.#endSession();
    if (this.#opening === null && this.#closing === null) this.#host.ended(this);
    else void Promise.all([this.#opening, this.#closing]).then(() => this.#host.ended(this));
  }

  #endSession(): void {
    if (this.#closing !== null || this.#session === null) return;
    this.#closing = this.#closeSession(this.#session);
  }

  async #closeSession(session: GatewaySession): Promise<void> {
    try {
      await session.close();
    } catch (error) {
      this.#host.log(error, 'closing a session');
    }
  }
}

/** Without the prefix that a socket for both protocols gives to IPv4. */
function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d)/, '');
}
