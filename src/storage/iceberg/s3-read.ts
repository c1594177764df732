/**
 * Reading an object of S3 as a stream that survives its connections: a body that breaks off goes on from the byte
 * where it ended, of the same version of the object (its ETag), as often as S1 allows without progress.
 */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { SqlError, SqlState } from '../../errors.ts';
import type { ObjectVersion } from './object-store.ts';
import { ATTEMPTS_MAX, backoffMs, isBroken, s3Address, s3Error, statusOf, type S3Connection } from './s3-client.ts';

/** The bytes of [start, end), fewer when the object is shorter. @throws {SqlError} 58030 */
export async function* readS3(
  connection: S3Connection,
  location: string,
  start: number,
  end: number | undefined,
  signal?: AbortSignal,
  version: ObjectVersion = { tag: null },
): AsyncGenerator<Uint8Array> {
  let at = start;
  let stop: number | null = null;
  for (let failures = 0; stop === null || at < stop;) {
    const from = at;
    try {
      const answer = await open(connection, location, at, stop ?? end, version.tag, signal);
      if (answer === null) return;
      version.tag ??= answer.etag ?? null;
      stop ??= at + answer.bytes;
      for await (const chunk of answer.body) {
        if (at + chunk.length > stop) throw tooLong(connection, location, stop);
        at += chunk.length;
        yield chunk;
      }
      // A connection that was closed in order, but early, says nothing.
      if (at < stop) throw Object.assign(new Error('the body ended early'), { code: 'ECONNRESET' });
    } catch (error) {
      signal?.throwIfAborted();
      if (statusOf(error) === 412) throw replaced(connection, location, at);
      failures = at > from ? 1 : failures + 1;
      if (!isBroken(error) || failures >= ATTEMPTS_MAX) throw s3Error(connection, 'read', location, error);
      const delay = backoffMs(connection.timing, failures - 1, connection.random);
      await new Promise<void>((resolve) => connection.clock.after(delay, resolve));
    }
  }
}

interface Answer {
  readonly body: AsyncIterable<Uint8Array>;
  readonly bytes: number;
  readonly etag: string | undefined;
}

/** Null: the range begins behind the end. */
async function open(
  { client, shown }: S3Connection,
  location: string,
  at: number,
  end: number | undefined,
  etag: string | null,
  signal: AbortSignal | undefined,
): Promise<Answer | null> {
  const { bucket, key } = s3Address(location);
  const ranged = at > 0 || end !== undefined;
  try {
    const answer = await client.send(
      new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ...(ranged ? { Range: `bytes=${at}-${end === undefined ? '' : end - 1}` } : {}),
        ...(etag === null ? {} : { IfMatch: etag }),
      }),
      signal === undefined ? {} : { abortSignal: signal },
    );
    // A server that does not know ranges answers with everything, which is not what was asked for.
    if (ranged && answer.ContentRange?.startsWith(`bytes ${at}-`) !== true)
      throw new SqlError(SqlState.ioError, `the server at ${shown} gives no ranges of "${location}"`);
    if (answer.Body === undefined || answer.ContentLength === undefined)
      throw new SqlError(SqlState.ioError, `the server at ${shown} gave no length of "${location}"`);
    return { body: answer.Body as AsyncIterable<Uint8Array>, bytes: answer.ContentLength, etag: answer.ETag };
  } catch (error) {
    if (statusOf(error) === 416) return null;
    throw error;
  }
}

function replaced({ shown }: S3Connection, location: string, at: number): SqlError {
  return new SqlError(SqlState.ioError, `"${location}" at ${shown} was replaced by another object while it was read`, {
    detail: `At byte ${at} it is not the object that was read before.`,
    hint: 'Files of a table never change: find out who writes to them, and restore the object.',
  });
}

function tooLong({ shown }: S3Connection, location: string, stop: number): SqlError {
  return new SqlError(SqlState.ioError, `the server at ${shown} gave more than the ${stop} bytes of "${location}"`);
}
