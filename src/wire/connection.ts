/**
 * One client's socket: start-up, the turn of input, back-pressure both ways, the end.
 *
 * - N1 Input is taken message by message; while a statement waits, only a COPY's messages are taken.
 * - N2 With more than `INPUT_BYTES_MAX` waiting the socket is paused; with a congested output nothing is taken.
 * - N3 `GatewaySession.close` is called exactly once per session that was opened, however the connection ends.
 * - N4 A session that has written pays for its turn of input by waiting, socket and messages with it (M-11).
 * - N5 No bytes of a client throw out of here.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { SqlError, SqlState, toSqlError } from '../errors.ts';
import * as backend from './backend-messages.ts';
import { FrameReader } from './frame-reader.ts';
import type { Gateway, GatewaySession, SessionEvents } from './gateway-api.ts';
import { QueryProtocol } from './query-protocol.ts';
import { sharedReads } from './shared-reads.ts';
import { SessionOutput } from './session-output.ts';
import { parseStartupPacket, PROTOCOL_3_0, type StartupPacket } from './startup-packet.ts';

const INPUT_BYTES_MAX = 64 * 1024;
/** PostgreSQL's authentication_timeout. */
const STARTUP_MS_MAX = 60_000;
/** How long a client may take to read its last error before the socket is cut. */
const LINGER_MS = 2_000;
const TERMINATE = 'X'.charCodeAt(0);
const SYNC = 'S'.charCodeAt(0);

export interface ConnectionHost {
  readonly gateway: Gateway;
  readonly clock: Clock;
  readonly messageBytesMax: number;
  log(error: unknown, where: string): void;
  /** False when all places are taken. */
  admit(connection: Connection): boolean;
  /** The socket is closed and the session has ended. */
  ended(connection: Connection): void;
}

/** startup: no StartupMessage yet; opening: the gateway is asked; over: no message is taken any more. */
type Phase = 'startup' | 'opening' | 'ready' | 'over';

export class Connection {
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #out: SessionOutput;
  #phase: Phase = 'startup';
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
  #inputEnded = false;
  #terminating = false;
  #opening: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #cancelTimer: () => void;

  /** @param socket as it was accepted with `pauseOnConnect` */
  constructor(socket: Socket, host: ConnectionHost) {
    this.#host = host;
    this.#socket = sharedReads(socket, (bytes, length) => this.#data(bytes, length));
    this.#reader = new FrameReader(host.messageBytesMax);
    this.#out = new SessionOutput(this.#socket, () => this.#pump());
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, 60_000);
    this.#socket.on('drain', () => this.#pump());
    this.#socket.on('end', () => this.#end());
    this.#socket.on('error', () => {}); // 'close' follows
    this.#socket.on('close', () => this.#closed());
    this.#cancelTimer = host.clock.after(STARTUP_MS_MAX, () => {
      this.#fatal(new SqlError(SqlState.queryCanceled, 'canceling authentication due to timeout'));
    });
  }

  /** 57P01 now, or after the statement that runs. */
  terminate(): void {
    this.#terminating = true;
    this.#pump();
  }

  /** Bytes of its buffers. */
  get heldBytes(): number {
    return this.#reader.heldBytes + this.#out.heldBytes + (this.#session?.heldBytes?.() ?? 0);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #data(bytes: Uint8Array, length: number): void {
    if (this.#phase === 'over') return;
    this.#reader.push(bytes, length);
    this.#pump();
    this.#reader.keep();
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
    // what a Sync answers belongs together: one write, when its commit is done
    if (!this.#syncing) this.#out.flush();
    this.#afterTurn();
  }

  #mayTake(): boolean {
    if (this.#phase === 'over' || this.#copying || this.#paying) return false;
    if (this.#running) return this.#out.copy !== null;
    return !this.#terminating && !this.#out.congested;
  }

  #takeOne(): boolean {
    const reader = this.#reader;
    if (this.#phase === 'startup') {
      if (!reader.nextStartup()) return false;
      this.#startup(parseStartupPacket(reader.bytes, reader.start, reader.end));
      return true;
    }
    if (!reader.next()) return false;
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
    const settled = (): void => {
      if (what === 'copy') this.#copying = false;
      else {
        this.#running = false;
        this.#syncing = false;
        if (this.#out.copy !== null)
          this.#out.abortCopy(new SqlError(SqlState.queryCanceled, 'the statement of this COPY has ended'));
      }
      this.#pump();
    };
    pending.then(settled, (error: unknown) => {
      this.#host.log(error, 'connection'); // accept() never rejects but by our own bug
      this.#fatal(toSqlError(error));
    });
  }

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
    const full = this.#paying || (this.#reader.buffered > INPUT_BYTES_MAX && !this.#mayTake());
    if (full !== this.#socket.isPaused()) {
      if (full) this.#socket.pause();
      else this.#socket.resume();
    }
    return undefined;
  }

  #startup(packet: StartupPacket): void {
    switch (packet.kind) {
      case 'ssl':
      case 'gss':
        this.#out.writer.u8('N'.charCodeAt(0));
        return;
      case 'cancel':
        this.#host.gateway.cancel(packet.pid, packet.secret);
        return this.#over();
      case 'startup':
        if (!this.#host.admit(this)) throw new SqlError(SqlState.tooManyConnections, 'sorry, too many clients already');
        if (packet.negotiate !== null)
          backend.negotiateProtocolVersion(this.#out.writer, PROTOCOL_3_0, packet.negotiate);
        this.#open(packet.parameters);
    }
  }

  #open(parameters: ReadonlyMap<string, string>): void {
    this.#phase = 'opening';
    this.#running = true;
    const opened = (session: GatewaySession): Promise<void> | void => {
      if (this.#phase === 'over') {
        // the client left meanwhile
        return this.#closeSession(session);
      }
      this.#cancelTimer();
      this.#running = false;
      this.#phase = 'ready';
      this.#session = session;
      this.#protocol = new QueryProtocol(session, this.#out, {
        fatal: (error) => this.#fatal(error),
        log: this.#host.log,
      });
      const out = this.#out.writer;
      backend.authenticationOk(out);
      for (const [name, value] of session.parameters) backend.parameterStatus(out, name, value);
      backend.backendKeyData(out, session.pid, session.secret);
      this.#protocol.ready();
      this.#pump();
    };
    const refused = (error: unknown): void => {
      if (!(error instanceof SqlError)) this.#host.log(error, 'start-up');
      this.#fatal(toSqlError(error));
    };
    // A gateway that throws instead of rejecting is caught by the turn.
    this.#opening = this.#host.gateway.open(parameters, this.#events()).then(opened).catch(refused);
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
      notice: (notice) => say(() => backend.noticeResponse(this.#out.writer, notice)),
      deallocate: (name) => this.#protocol?.deallocate(name) ?? false,
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
    this.#protocol?.closePortals();
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
