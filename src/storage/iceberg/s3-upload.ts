/**
 * Local files on their way to S3: in parts, a small file as one object.
 *
 * - U1 PARTS_MAX parts are in memory at once in the whole store, in buffers that are used again: what an upload takes does
 *   not depend on how large the file is, nor on when garbage is collected (V5).
 * - U2 An upload that fails is aborted, so that its parts are not kept and paid for; nobody waits for that.
 */
import { open, type FileHandle } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { SqlError, SqlState } from '../../errors.ts';
import { Slots } from '../slots.ts';
import { ioError } from './local-store.ts';
import { codeOf, s3Address, s3Error, type S3Connection } from './s3-client.ts';

const PARTS_MAX = 4;
/** S3's own limit. */
const PARTS_PER_OBJECT_MAX = 10_000;

/** U1. */
export class PartBuffers {
  readonly #slots = new Slots(PARTS_MAX);
  readonly #free: Buffer[] = [];
  readonly #partBytes: number;

  constructor(partBytes: number) {
    this.#partBytes = partBytes;
  }

  use<T>(bytes: number, work: (part: Buffer) => Promise<T>): Promise<T> {
    return this.#slots.hold(1, async () => {
      const usual = bytes <= this.#partBytes;
      const buffer = (usual ? this.#free.pop() : undefined) ?? Buffer.allocUnsafeSlow(usual ? this.#partBytes : bytes);
      try {
        return await work(buffer.subarray(0, bytes));
      } finally {
        if (usual) this.#free.push(buffer);
      }
    });
  }
}

/** @throws {SqlError} 58030 that names the file or the object */
export async function uploadFile(
  connection: S3Connection,
  buffers: PartBuffers,
  location: string,
  path: string,
): Promise<void> {
  await using file = await onDisk(path, () => open(path, 'r'));
  const { size } = await onDisk(path, () => file.stat());
  const part = (start: number, end: number, send: (body: Buffer) => Promise<void>): Promise<void> =>
    buffers.use(end - start, async (buffer) => {
      await onDisk(path, () => fill(file, buffer, start, path));
      await send(buffer);
    });
  try {
    if (size > connection.partBytes) return await inParts(connection, location, size, part);
    const { bucket, key } = s3Address(location);
    await part(0, size, async (body) => {
      await connection.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
    });
  } catch (error) {
    throw s3Error(connection, 'write', location, error);
  }
}

type ReadPart = (start: number, end: number, send: (body: Buffer) => Promise<void>) => Promise<void>;

async function inParts(connection: S3Connection, location: string, size: number, part: ReadPart): Promise<void> {
  const { client } = connection;
  const { bucket, key } = s3Address(location);
  const { UploadId: id } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }));
  const upload = { Bucket: bucket, Key: key, UploadId: id };
  const partBytes = Math.max(connection.partBytes, Math.ceil(size / PARTS_PER_OBJECT_MAX));
  const parts: CompletedPart[] = Array.from({ length: Math.ceil(size / partBytes) }, (_, i) => ({ PartNumber: i + 1 }));
  const rest = parts.entries();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const [i, { PartNumber }] of rest) {
      if (failed) return;
      try {
        await part(i * partBytes, Math.min(size, (i + 1) * partBytes), async (body) => {
          const answer = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body: body }));
          parts[i] = { PartNumber, ETag: answer.ETag };
        });
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  try {
    // All have ended before the file is closed and a buffer is used again.
    const ended = await Promise.allSettled(Array.from({ length: PARTS_MAX }, worker));
    for (const each of ended) if (each.status === 'rejected') throw each.reason;
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }));
  } catch (error) {
    // The answer to a completed upload was lost, and the second request found nothing to complete.
    if (codeOf(error) === 'NoSuchUpload') {
      const { ContentLength: there } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      if (there === size) return;
    }
    void client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined); // U2
    throw error;
  }
}

async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw ioError(error, path);
  }
}

async function fill(file: FileHandle, buffer: Buffer, start: number, path: string): Promise<void> {
  for (let at = 0; at < buffer.length;) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, start + at);
    if (bytesRead === 0)
      throw new SqlError(SqlState.dataCorrupted, `file "${path}" ended at byte ${start + at} while it was sent`);
    at += bytesRead;
  }
}
