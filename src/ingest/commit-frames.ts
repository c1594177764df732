/** The frames of the log that a transaction's commit is made of. */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { LogStream } from '../storage/log/log-api.ts';
import { encodeFrame } from './frame.ts';
import type { SectionSource } from '../storage/log/frame-section.ts';
import { encodeSmall } from './small-frame.ts';
import type { TableWrites } from './transaction.ts';
import { truncationsOf } from './truncation.ts';

export interface Frame {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly count: number;
}

/** Deletes and truncations first, then inserts, in frames that the ring can take. @throws {SqlError} 54000 for a row that no frame holds */
export function framesOf(writes: readonly TableWrites[], frameBytesMax: number): Frame[] {
  return packed(
    [...sectionsOf(writes, 'delete'), ...truncationsOf(writes), ...sectionsOf(writes, 'insert')],
    frameBytesMax,
  );
}

/** A stream has the rows alone. */
export function truncationFrames(writes: readonly TableWrites[], frameBytesMax: number): Frame[] {
  const sections = truncationsOf(writes);
  return sections.length === 0 ? [] : packed(sections, frameBytesMax);
}

function packed(sections: readonly SectionSource[], frameBytesMax: number): Frame[] {
  const small = encodeSmall(sections);
  if (small !== null && small.length <= frameBytesMax)
    return [{ parts: [small], bytes: small.length, count: countOf(sections) }];
  const frames: Frame[] = [];
  pack(sections, frameBytesMax, frames);
  return frames;
}

/** The frame that commits a stream, which holds all that the transaction does. */
export function streamFrame(stream: LogStream): Frame {
  const parts = [stream.reference, ...encodeFrame([])];
  return { parts, bytes: bytesOf(parts), count: stream.rows };
}

function sectionsOf(writes: readonly TableWrites[], kind: 'delete' | 'insert'): SectionSource[] {
  const sections: SectionSource[] = [];
  for (const { table, deletedNames, inserted, isTruncated } of writes) {
    if (isTruncated && kind === 'delete') continue; // what it deleted before has gone with the others
    const rows = kind === 'delete' ? deletedNames : inserted;
    const fieldIds = kind === 'delete' && table.keyed ? table.def.key : table.fieldIds;
    for (const batch of rows.batches) {
      if (batch.rows === 0) continue;
      sections.push({
        tableUuid: table.uuidBytes,
        schemaId: table.def.schemaId,
        kind,
        fieldIds,
        vectors: batch.vectors(),
        start: 0,
        end: batch.rows,
      });
    }
  }
  return sections;
}

function bytesOf(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}

function countOf(sections: readonly SectionSource[]): number {
  let count = 0;
  for (const section of sections) count += section.end - section.start;
  return count;
}

function pack(sections: readonly SectionSource[], bytesMax: number, frames: Frame[]): void {
  const parts = encodeFrame(sections);
  const bytes = bytesOf(parts);
  if (bytes <= bytesMax) {
    frames.push({ parts, bytes, count: countOf(sections) });
    return;
  }
  if (sections.length > 1) {
    const middle = sections.length >> 1;
    pack(sections.slice(0, middle), bytesMax, frames);
    pack(sections.slice(middle), bytesMax, frames);
    return;
  }
  const [section] = sections;
  invariant(section !== undefined, 'a frame has a section');
  if (section.end - section.start === 1)
    throw new SqlError(
      SqlState.programLimitExceeded,
      `a row of ${bytes} bytes is too large: a row in the log has at most ${bytesMax} bytes`,
    );
  const middle = (section.start + section.end) >> 1;
  pack([{ ...section, end: middle }], bytesMax, frames);
  pack([{ ...section, start: middle }], bytesMax, frames);
}
