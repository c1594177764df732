/**
 * The listening socket and its connections. Closing it says 57P01 to each client, lets a running statement finish
 * for a short while, and answers when every session has ended.
 *
 * - L1 Places are for clients that have shown who they are. Others have sockets beyond them, of which the oldest gives way: whoever
 *   holds them all keeps nobody out.
 */
import { createServer, type Server } from 'node:net';
import type { Clock } from '../clock.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import type { Gateway } from './gateway-api.ts';
import { InputBudget } from './input-budget.ts';
import { SocketWriter } from './socket-writer.ts';
import type { TlsServer } from './tls.ts';

/** How long a running statement may go on after close(). */
const GRACE_MS = 5_000;
/** Sockets beyond maxConnections: for CancelRequests, and for clients that are to read 53300. */
const SPARE_SOCKETS = 100;
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
  readonly gateway: Gateway;
  /** Left out: an SSLRequest is answered `N`. */
  readonly tls?: TlsServer;
  readonly clock: Clock;
  readonly log: (error: unknown, where: string) => void;
  /** Longest Query, Parse, Bind or CopyData message; beyond it the connection ends with 08P01. */
  readonly messageBytesMax?: number;
  /** Of unfinished messages of all clients together; beyond it the one that grows ends with 53200. */
  readonly inputBytesMax?: number;
  /** Closed with the listener; left out: one of its own. */
  readonly writer?: SocketWriter;
}

export interface Listener extends AsyncDisposable {
  readonly port: number;
  close(): Promise<void>;
  /** Clients that have shown who they are. */
  sessions(): number;
  /** Bytes in the buffers of all connections. */
  heldBytes(): number;
}

/** @throws {Error} in one line when the address cannot be used */
export async function listen(options: ListenOptions): Promise<Listener> {
  const connections = new Set<Connection>();
  const sessions = new Set<Connection>();
  let allGone: (() => void) | null = null;
  const writer = options.writer ?? new SocketWriter(options.log);
  const host: ConnectionHost = {
    gateway: options.gateway,
    tls: options.tls ?? null,
    sessions: () => sessions.size,
    clock: options.clock,
    messageBytesMax: options.messageBytesMax ?? MESSAGE_BYTES_MAX,
    input: new InputBudget(options.inputBytesMax),
    writer,
    log: options.log,
    admit(connection) {
      if (sessions.size >= options.maxConnections) return false;
      sessions.add(connection);
      return true;
    },
    ended(connection) {
      connections.delete(connection);
      sessions.delete(connection);
      if (connections.size === 0) allGone?.();
    },
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    if (connections.size < options.maxConnections + SPARE_SOCKETS || giveWay())
      connections.add(new Connection(socket, host));
    else socket.destroy();
  });
  /** L1: sets keep the order in which their members came. */
  function giveWay(): boolean {
    for (const connection of connections) {
      if (sessions.has(connection)) continue;
      connections.delete(connection);
      connection.destroy();
      return true;
    }
    return false;
  }
  const port = await bound(server, options);
  server.on('error', (error) => options.log(error, 'listener'));
  let closing: Promise<void> | null = null;

  async function shutdown(): Promise<void> {
    server.close();
    await connectionsEnd();
    await writer.close();
  }

  async function connectionsEnd(): Promise<void> {
    if (connections.size === 0) return;
    const gone = new Promise<void>((resolve) => {
      allGone = resolve;
    });
    for (const connection of connections) connection.terminate();
    const cancel = options.clock.after(GRACE_MS, () => {
      for (const connection of connections) connection.destroy();
    });
    await gone;
    cancel();
  }

  const close = (): Promise<void> => (closing ??= shutdown());
  const heldBytes = (): number => {
    let bytes = 0;
    for (const connection of connections) bytes += connection.heldBytes;
    return bytes;
  };
  return { port, close, sessions: () => sessions.size, heldBytes, [Symbol.asyncDispose]: close };
}

function bound(server: Server, options: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject); // with code, address and port: the caller knows how to say it
    server.listen(options.port, options.host, () => {
      server.removeAllListeners('error');
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : options.port);
    });
  });
}
