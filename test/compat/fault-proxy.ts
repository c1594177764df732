/** An HTTP proxy in front of a store that fails as it is told: the store behind it is real and stays whole. */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';

export type Behaviour =
  | 'pass'
  /** Connections are closed at once, as by a server that is not there. */
  | 'away'
  /** Connections are taken and nothing is ever answered. */
  | 'silent';

export interface Faults {
  behaviour: Behaviour;
  /** Each request draws: the parts of those that get a 500, break off in the middle of the answer, or lose their answer. */
  errors: number;
  truncated: number;
  lost: number;
  /** Bytes a second of each answer; 0: as fast as it comes. */
  bytesPerSecond: number;
}

export interface FaultProxy extends AsyncDisposable {
  readonly endpoint: string;
  readonly faults: Faults;
  /** Requests seen, and those that met a fault. */
  readonly counts: { requests: number; faults: number };
}

export async function faultProxy(target: string, random: () => number = Math.random): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  const faults: Faults = { behaviour: 'pass', errors: 0, truncated: 0, lost: 0, bytesPerSecond: 0 };
  const counts = { requests: 0, faults: 0 };
  const server = createServer((incoming, outgoing) => {
    counts.requests++;
    const draw = random();
    const { errors, truncated, lost } = faults;
    const fault =
      draw < errors
        ? 'error'
        : draw < errors + truncated
          ? 'truncated'
          : draw < errors + truncated + lost
            ? 'lost'
            : 'none';
    if (faults.behaviour !== 'pass' || fault !== 'none') counts.faults++;
    if (faults.behaviour === 'away') return void incoming.socket.destroy();
    if (faults.behaviour === 'silent') return void incoming.resume();
    if (fault === 'error') return refuse(incoming, outgoing);
    return forward(incoming, outgoing, hostname, port, fault, faults);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults,
    counts,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.resume();
  outgoing.writeHead(500, { 'content-type': 'application/xml' });
  outgoing.end('<?xml version="1.0"?><Error><Code>InternalError</Code><Message>planted</Message></Error>');
}

function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  host: string,
  port: string,
  fault: 'none' | 'truncated' | 'lost',
  faults: Pick<Faults, 'bytesPerSecond'>,
): void {
  const { method, url, headers } = incoming;
  const onward = request({ host, port, method, path: url, headers, agent: false }, (answer) => {
    if (fault === 'lost') return void answer.resume().on('end', () => incoming.socket.destroy());
    outgoing.writeHead(answer.statusCode!, answer.headers);
    if (fault === 'truncated') {
      let bytes = 0;
      const half = Number(answer.headers['content-length'] ?? 0) >> 1;
      answer.on('data', (chunk: Buffer) => {
        outgoing.write(chunk.subarray(0, Math.max(0, half - bytes)));
        bytes += chunk.length;
      });
      return void answer.on('end', () => outgoing.socket?.destroy());
    }
    if (faults.bytesPerSecond === 0) return void answer.pipe(outgoing);
    return void answer.pipe(slowly(faults)).pipe(outgoing);
  });
  onward.on('error', () => incoming.socket.destroy());
  incoming.on('error', () => onward.destroy());
  outgoing.on('error', () => onward.destroy());
  incoming.pipe(onward);
}

const PIECES_PER_SECOND = 10;

/** At the rate of the moment: what is on its way goes on at full speed when that is 0 again. */
function slowly(faults: Pick<Faults, 'bytesPerSecond'>): Transform {
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const send = (from: number): void => {
        const { bytesPerSecond } = faults;
        if (bytesPerSecond === 0) return done(null, chunk.subarray(from));
        const to = from + Math.ceil(bytesPerSecond / PIECES_PER_SECOND);
        this.push(chunk.subarray(from, to));
        if (to >= chunk.length) return done();
        setTimeout(() => send(to), 1000 / PIECES_PER_SECOND);
      };
      send(0);
    },
  });
}
