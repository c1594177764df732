/**
 * S3 in the simulated world: what stands under the code of `src/storage/iceberg/s3-*.ts` in the place of the SDK's client.
 * Objects live outside of the machine: a crash or a power cut takes nothing of them, and ends no request that has arrived.
 *
 * As the SDK, `send` tries again what failed for a passing reason, and says how often. Faults of one try: refused (503), broken
 * before it had an effect or after (the outcome is unknown), a body that ends early; and answers that take their time.
 */
import type { Clock } from '../../src/clock.ts';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';
import type { S3Connection } from '../../src/storage/iceberg/s3-client.ts';
import type { World } from './world.ts';

/** Files of the simulation are small: one of a few rows goes up in parts. */
const PART_BYTES = 512;
const BODY_BYTES = 256;
/** As many as the SDK is told to make. */
const ATTEMPTS_MAX = 6;
const SLOW_MS = 3000;
const PAGE_KEYS = 3;

export interface S3Object {
  readonly bytes: Uint8Array;
  readonly etag: string;
  readonly modifiedMs: number;
}

/** What the store holds, by `bucket/key`. */
export class S3Objects {
  readonly objects = new Map<string, S3Object>();
  readonly uploads = new Map<string, { readonly name: string; readonly parts: Map<number, S3Object> }>();
  /** A planted bug: parts that an upload leaves out. */
  losesPart: (part: number) => boolean = () => false;
  #writes = 0;

  put(name: string, bytes: Uint8Array, modifiedMs: number): S3Object {
    const object = { bytes: Uint8Array.from(bytes), etag: `"${++this.#writes}"`, modifiedMs };
    this.objects.set(name, object);
    return object;
  }

  upload(name: string): string {
    const id = `upload-${++this.#writes}`;
    this.uploads.set(id, { name, parts: new Map() });
    return id;
  }

  part(id: string, number: number, bytes: Uint8Array): string {
    const upload = this.uploads.get(id);
    if (upload === undefined) throw answer(404, 'NoSuchUpload');
    const etag = `"${++this.#writes}"`;
    upload.parts.set(number, { bytes, etag, modifiedMs: 0 });
    return etag;
  }

  complete(id: string, parts: readonly { readonly PartNumber?: number; readonly ETag?: string }[], now: number): void {
    const upload = this.uploads.get(id);
    if (upload === undefined) throw answer(404, 'NoSuchUpload');
    const bytes = parts.map(({ PartNumber, ETag }) => {
      const part = upload.parts.get(PartNumber!);
      if (part === undefined || part.etag !== ETag) throw answer(400, 'InvalidPart');
      return this.losesPart(PartNumber!) ? new Uint8Array(0) : part.bytes;
    });
    this.put(upload.name, Buffer.concat(bytes), now);
    this.uploads.delete(id);
  }
}

/** An error as the SDK gives it. */
function answer(status: number, name: string): Error {
  const error = Object.assign(new Error('simulated'), { $metadata: { httpStatusCode: status, attempts: 1 } });
  error.name = name;
  return error;
}
const broken = (): Error => Object.assign(new Error('simulated'), { code: 'ECONNRESET', $metadata: { attempts: 1 } });
const isPassing = (error: Error): boolean =>
  'code' in error || ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0) >= 500;

interface Input {
  readonly Bucket: string;
  readonly Key: string;
  readonly Body?: Uint8Array;
  readonly IfNoneMatch?: string;
  readonly IfMatch?: string;
  readonly Range?: string;
  readonly Prefix?: string;
  readonly ContinuationToken?: string;
  readonly UploadId?: string;
  readonly PartNumber?: number;
  readonly MultipartUpload?: { readonly Parts: readonly { readonly PartNumber?: number; readonly ETag?: string }[] };
  readonly Delete?: { readonly Objects: readonly { readonly Key: string }[] };
}
interface Command {
  readonly input: Input;
}

const nameOf = ({ Bucket, Key }: Input): string => `${Bucket}/${Key}`;

/** The effect of one request, and its answer. */
function serve(store: S3Objects, now: number, operation: string, input: Input, truncate: boolean): object {
  switch (operation) {
    case 'PutObjectCommand': {
      if (input.IfNoneMatch === '*' && store.objects.has(nameOf(input))) throw answer(412, 'PreconditionFailed');
      return { ETag: store.put(nameOf(input), input.Body!, now).etag };
    }
    case 'HeadObjectCommand': {
      const object = store.objects.get(nameOf(input));
      if (object === undefined) throw answer(404, 'NotFound');
      return { ContentLength: object.bytes.length, ETag: object.etag, LastModified: new Date(object.modifiedMs) };
    }
    case 'GetObjectCommand':
      return get(store, input, truncate);
    case 'ListObjectsV2Command': {
      const prefix = `${input.Bucket}/${input.Prefix ?? ''}`;
      const names = [...store.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
      const from =
        input.ContinuationToken === undefined ? 0 : names.findIndex((name) => name > input.ContinuationToken!);
      const page = from < 0 ? [] : names.slice(from, from + PAGE_KEYS);
      const Contents = page.map((name) => ({
        Key: name.slice(input.Bucket.length + 1),
        Size: store.objects.get(name)!.bytes.length,
        LastModified: new Date(store.objects.get(name)!.modifiedMs),
      }));
      const more = page.length > 0 && page.at(-1) !== names.at(-1);
      return { Contents, IsTruncated: more, ...(more ? { NextContinuationToken: page.at(-1) } : {}) };
    }
    case 'DeleteObjectsCommand':
      for (const { Key } of input.Delete!.Objects) store.objects.delete(`${input.Bucket}/${Key}`);
      return {};
    case 'CreateMultipartUploadCommand':
      return { UploadId: store.upload(nameOf(input)) };
    case 'UploadPartCommand':
      return { ETag: store.part(input.UploadId!, input.PartNumber!, input.Body!) };
    case 'CompleteMultipartUploadCommand':
      store.complete(input.UploadId!, input.MultipartUpload!.Parts, now);
      return {};
    case 'AbortMultipartUploadCommand':
      store.uploads.delete(input.UploadId!);
      return {};
    default:
      throw new Error(`S3 has no ${operation} here`);
  }
}

function get(store: S3Objects, input: Input, truncate: boolean): object {
  const object = store.objects.get(nameOf(input));
  if (object === undefined) throw answer(404, 'NoSuchKey');
  if (input.IfMatch !== undefined && input.IfMatch !== object.etag) throw answer(412, 'PreconditionFailed');
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(input.Range ?? '') ?? [];
  const from = Number(first ?? 0);
  if (first !== undefined && from >= object.bytes.length) throw answer(416, 'InvalidRange');
  const to = Math.min(object.bytes.length, last === undefined || last === '' ? Infinity : Number(last) + 1);
  const bytes = object.bytes.slice(from, to);
  const body = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += BODY_BYTES) {
      if (truncate && at + BODY_BYTES >= bytes.length) throw broken();
      yield bytes.subarray(at, at + BODY_BYTES);
      await Promise.resolve();
    }
  };
  return {
    Body: body(),
    ContentLength: bytes.length,
    ETag: object.etag,
    ...(first === undefined ? {} : { ContentRange: `bytes ${from}-${to - 1}/${object.bytes.length}` }),
  };
}

/** One request, with the tries that the SDK makes. */
async function send(world: World, operation: string, input: Input): Promise<object> {
  const { fs } = world;
  const gone = (): boolean => fs.crashed || world.fs !== fs;
  // The caller uses its buffer again when it has an answer.
  const body = input.Body === undefined ? undefined : Uint8Array.from(input.Body);
  for (let attempts = 1; ; attempts++) {
    await world.turn(`S3: ${operation}`);
    if (gone()) return new Promise<never>(() => {});
    try {
      const faulty = (): boolean => !world.instant && world.random() < world.faults.store;
      if (faulty()) throw world.chance(0.5) ? answer(503, 'SlowDown') : broken();
      const given = body === undefined ? input : { ...input, Body: body };
      const answered = serve(world.s3, world.clock.now(), operation, given, faulty());
      if (faulty()) throw broken(); // it has taken place
      if (faulty()) await new Promise<void>((resolve) => world.clock.after(SLOW_MS, resolve));
      await world.turn(`the answer of S3: ${operation}`);
      return gone() ? new Promise<never>(() => {}) : answered;
    } catch (error) {
      const { $metadata } = error as { $metadata: { attempts: number } };
      $metadata.attempts = attempts;
      if (!isPassing(error as Error) || attempts === ATTEMPTS_MAX) throw error;
    }
  }
}

/** What storage loads at its first use of S3 is there: loading takes turns of nobody. */
export const loadS3 = (): Promise<unknown> =>
  Promise.all([import('../../src/storage/iceberg/s3-client.ts'), import('../../src/storage/iceberg/s3-store.ts')]);

let current: World | null = null;
/** From now on S3 is that world's. */
export function simulateS3(world: World | null): void {
  current = world;
}

/** In the place of `connectS3`. */
export function connectSimS3(_settings: unknown, clock: Clock, random: () => number): S3Connection {
  const world = current!;
  const client = { send: (command: Command) => send(world, command.constructor.name, command.input) };
  const timing = { connectMs: 1, idleMs: 1, backoffMs: 10, backoffMaxMs: 100, retryForMs: 1000 };
  return { client: client as never, shown: 'S3', timing, clock, random, partBytes: PART_BYTES };
}

/** In the place of the SDK: its commands carry their input, and nothing else is asked of them. */
export function simCommands(): Record<string, unknown> {
  const command = (name: string): unknown => {
    const made = class {
      readonly input: unknown;
      constructor(input: unknown) {
        this.input = input;
      }
    };
    Object.defineProperty(made, 'name', { value: name });
    return made;
  };
  const names = ['PutObject', 'HeadObject', 'GetObject', 'ListObjectsV2', 'DeleteObject', 'DeleteObjects'];
  const uploads = ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'AbortMultipartUpload'];
  const commands = [...names, ...uploads].map((each) => [`${each}Command`, command(`${each}Command`)] as const);
  return { ...Object.fromEntries(commands), S3Client: class {} };
}

/** S3 as others see and use it: at once and without faults. */
export function outsideS3(world: World): Pick<ObjectStore, 'get' | 'put'> {
  const nameAt = (location: string): string => location.slice('s3://'.length);
  return {
    get: (location) => {
      const object = world.s3.objects.get(nameAt(location));
      if (object === undefined) return Promise.reject(new Error(`no object ${location}`));
      return Promise.resolve(object.bytes);
    },
    put: (location, bytes) => {
      world.s3.put(nameAt(location), bytes, world.clock.now());
      return Promise.resolve();
    },
  };
}
