/**
 * A few requests of S3 over plain HTTP, for tests of what Arka does when a server fails: not a store to be tested against.
 * Each request takes the next of `faults`; without one it is answered well.
 */
import { crc32 } from 'node:zlib';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault =
  | 'ok'
  /** The connection is closed instead of an answer. */
  | 'reset'
  /** It is done, but the answer is lost. */
  | 'lost'
  /** No answer ever. */
  | 'silent'
  /** Half of the body, then the connection closes. */
  | 'truncated'
  /** Half of the body, then nothing. */
  | 'stalled'
  | { readonly status: number; readonly code: string };

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly objects: Map<string, Buffer>;
  readonly faults: Fault[];
  /** While it is true, connections are closed at once. */
  away: boolean;
  /** METHOD path?query of each request. */
  readonly requests: string[];
}

export async function startS3Server(): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  const faults: Fault[] = [];
  const requests: string[] = [];
  const server = createServer((request, response) => {
    void body(request).then((bytes) => {
      requests.push(`${request.method} ${request.url}`);
      if (made.away) return void request.socket.destroy();
      const fault = faults.shift() ?? 'ok';
      if (fault === 'reset') return void request.socket.destroy();
      if (fault === 'silent') return undefined;
      if (typeof fault === 'object') return fail(response, fault.status, fault.code);
      return answer(objects, request, response, bytes, fault);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const made: S3Server = {
    away: false,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    faults,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return made;
}

async function body(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function fail(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>told to</Message></Error>`);
}

function answer(
  objects: Map<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  fault: Exclude<Fault, object>,
): void {
  const path = decodeURIComponent(new URL(request.url!, 'http://s').pathname);
  const found = objects.get(path);
  switch (request.method) {
    case 'PUT':
      if (request.headers['if-none-match'] === '*' && found !== undefined)
        return fail(response, 412, 'PreconditionFailed');
      objects.set(path, bytes);
      if (fault === 'lost') return void request.socket.destroy();
      response.writeHead(200, { etag: tagOf(bytes) });
      return void response.end();
    case 'DELETE':
      objects.delete(path);
      response.writeHead(204);
      return void response.end();
    case 'GET':
      return found === undefined ? fail(response, 404, 'NoSuchKey') : get(request, response, found, fault);
    default:
      return fail(response, 501, 'NotImplemented');
  }
}

const tagOf = (bytes: Buffer): string => `"${crc32(bytes)}"`;

function get(request: IncomingMessage, response: ServerResponse, object: Buffer, fault: Fault): void {
  const etag = tagOf(object);
  const wanted = request.headers['if-match'];
  if (wanted !== undefined && wanted !== etag) return fail(response, 412, 'PreconditionFailed');
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const from = Number(range?.[1] ?? 0);
  const part = object.subarray(from, range?.[2] ? Number(range[2]) + 1 : undefined);
  response.writeHead(range === null ? 200 : 206, {
    etag,
    'content-length': part.length,
    ...(range === null ? {} : { 'content-range': `bytes ${from}-${from + part.length - 1}/${object.length}` }),
  });
  if (fault !== 'truncated' && fault !== 'stalled') return void response.end(part);
  response.write(part.subarray(0, part.length >> 1), () => {
    if (fault === 'truncated') request.socket.destroy();
  });
}
