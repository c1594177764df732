/**
 * The object store on S3 and servers that speak it. A location is `s3://bucket/key`, the key as it is.
 *
 * - What S3 has acknowledged is durable (O1); objects appear whole (O3). Files go up in parts (`s3-upload.ts`).
 * - `putIfAbsent` is If-None-Match: *. A 412 to a request that was sent more than once may be the answer to our own first
 *   one: then the bytes decide. 409 (another write of the key under way) is tried again.
 */
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { SqlError, SqlState } from '../../errors.ts';
import { sideBySide } from '../../side-by-side.ts';
import type { ObjectInfo, ObjectStore } from './object-store.ts';
import { ATTEMPTS_MAX, attemptsOf, backoffMs, s3Address, s3Error, statusOf, type S3Connection } from './s3-client.ts';
import { readS3 } from './s3-read.ts';
import { PartBuffers, uploadFile } from './s3-upload.ts';

const DELETE_BATCH = 1000;
const PUTS_MAX = 4;

export function s3Store(connection: S3Connection): ObjectStore {
  const buffers = new PartBuffers(connection.partBytes);
  const store: ObjectStore = {
    get: async (location, start, end, version) =>
      join(readS3(connection, location, start ?? 0, end, undefined, version)),
    read: (location, signal) => readS3(connection, location, 0, undefined, signal),
    head: (location) => head(connection, location),
    put: (location, bytes) => put(connection, location, bytes),
    putAll: async (objects) => {
      await sideBySide(objects, PUTS_MAX, ({ location, bytes }) => put(connection, location, bytes));
    },
    putIfAbsent: (location, bytes) => putIfAbsent(connection, store, location, bytes),
    putFile: (location, path) => uploadFile(connection, buffers, location, path),
    list: (prefix) => list(connection, prefix),
    delete: async (locations) => {
      for (const [bucket, group] of byBucket(locations))
        for (let at = 0; at < group.length; at += DELETE_BATCH)
          await deleteBatch(connection, bucket, group.slice(at, at + DELETE_BATCH));
    },
    deleteBelow: async (prefix) => {
      let batch: string[] = [];
      for await (const { location } of list(connection, prefix)) {
        if (batch.push(location) < DELETE_BATCH) continue;
        await store.delete(batch);
        batch = [];
      }
      await store.delete(batch);
    },
  };
  return store;
}

async function join(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    bytes += chunk.length;
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function head(connection: S3Connection, location: string): Promise<ObjectInfo | null> {
  const { bucket, key } = s3Address(location);
  try {
    const answer = await connection.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    return { location, bytes: answer.ContentLength ?? 0, modifiedMs: answer.LastModified?.getTime() ?? 0 };
  } catch (error) {
    // A HEAD has no body, so a missing bucket looks the same; the next put or list says it.
    if (statusOf(error) === 404) return null;
    throw s3Error(connection, 'look up', location, error);
  }
}

async function put(connection: S3Connection, location: string, bytes: Uint8Array): Promise<void> {
  const { bucket, key } = s3Address(location);
  try {
    await connection.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
  } catch (error) {
    throw s3Error(connection, 'write', location, error);
  }
}

async function putIfAbsent(
  connection: S3Connection,
  store: Pick<ObjectStore, 'get'>,
  location: string,
  bytes: Uint8Array,
): Promise<boolean> {
  const { bucket, key } = s3Address(location);
  let sent = 0;
  for (let conflicts = 0; ; conflicts++) {
    try {
      await connection.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, IfNoneMatch: '*' }));
      return true;
    } catch (error) {
      sent += attemptsOf(error);
      const status = statusOf(error);
      if (status === 412) return sent > 1 && Buffer.from(await store.get(location)).equals(bytes);
      if (status !== 409 || conflicts >= ATTEMPTS_MAX) throw s3Error(connection, 'write', location, error);
      const delay = backoffMs(connection.timing, conflicts, connection.random);
      await new Promise<void>((resolve) => connection.clock.after(delay, resolve));
    }
  }
}

async function* list(connection: S3Connection, prefix: string): AsyncGenerator<ObjectInfo> {
  const { bucket, key } = s3Address(prefix);
  const scheme = prefix.slice(0, prefix.indexOf(':'));
  const folder = key === '' || key.endsWith('/') ? key : `${key}/`;
  let token: string | undefined;
  do {
    let page;
    try {
      page = await connection.client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: folder,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
    } catch (error) {
      throw s3Error(connection, 'list', prefix, error);
    }
    for (const object of page.Contents ?? [])
      if (object.Key !== undefined && !object.Key.endsWith('/'))
        yield {
          location: `${scheme}://${bucket}/${object.Key}`,
          bytes: object.Size ?? 0,
          modifiedMs: object.LastModified?.getTime() ?? 0,
        };
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}

function byBucket(locations: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const location of locations) {
    const { bucket } = s3Address(location);
    const group = groups.get(bucket);
    if (group === undefined) groups.set(bucket, [location]);
    else group.push(location);
  }
  return groups;
}

async function deleteBatch(connection: S3Connection, bucket: string, locations: readonly string[]): Promise<void> {
  const keys = locations.map((location) => s3Address(location).key);
  try {
    const answer = await connection.client.send(
      new DeleteObjectsCommand({
        Bucket: bucket,
        Delete: { Quiet: true, Objects: keys.map((key) => ({ Key: key })) },
      }),
    );
    const failed = answer.Errors?.find((each) => each.Code !== 'NoSuchKey');
    if (failed === undefined) return;
    throw new SqlError(
      SqlState.ioError,
      `could not delete object "${failed.Key}" of bucket "${bucket}" at ${connection.shown}: ${failed.Code}: ${failed.Message}`,
    );
  } catch (error) {
    const status = statusOf(error);
    // Some servers have no request for many objects.
    if (status === 501 || status === 405 || status === 400) return deleteSingly(connection, bucket, keys);
    throw s3Error(connection, 'delete', locations[0]!, error);
  }
}

async function deleteSingly(connection: S3Connection, bucket: string, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    try {
      await connection.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    } catch (error) {
      if (statusOf(error) !== 404) throw s3Error(connection, 'delete', `s3://${bucket}/${key}`, error);
    }
  }
}
