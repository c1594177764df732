import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  FRAME_HEADER_BYTES,
  checkFrame,
  decodeFrame,
  decodeGroupHeader,
  decodeSegmentHeader,
  encodeFrameHeader,
  encodeGroupHeader,
  encodeSegmentHeader,
  frameBytesTotal,
  viewOf,
} from '../../src/storage/log/log-format.ts';
import {
  bytesFree,
  newRing,
  pushFrame,
  releaseTo,
  ringHead,
  ringSlices,
  ringTail,
} from '../../src/storage/log/log-ring.ts';

const lsn = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const hex32 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const position = fc.record({ sequence: lsn, offset: lsn });
const anyHead = fc.record({
  kind: fc.constantFrom('data' as const, 'checkpoint' as const),
  firstLsn: lsn,
  count: u32,
  transaction: lsn,
  last: fc.boolean(),
});

function frame(head: Parameters<typeof encodeFrameHeader>[1], payload: Uint8Array, seed: number): Uint8Array {
  const bytes = new Uint8Array(frameBytesTotal(payload.length));
  encodeFrameHeader(viewOf(bytes), head, payload.length);
  bytes.set(payload, FRAME_HEADER_BYTES);
  viewOf(bytes).setUint32(0, crc32(bytes.subarray(4, FRAME_HEADER_BYTES + payload.length), seed), true);
  return bytes;
}

test('frames survive encoding; any flipped byte, and any other seed, fails the CRC', () => {
  fc.assert(
    fc.property(anyHead, fc.uint8Array({ maxLength: 300 }), u32, u32, fc.nat(), (head, payload, seed, other, flip) => {
      const bytes = frame(head, payload, seed);
      const view = viewOf(bytes);
      expect(checkFrame(bytes, view, 0, bytes.length, seed)).toBe(bytes.length);
      expect(decodeFrame(bytes, view, 0)).toEqual({ ...head, payload });
      if (other !== seed) expect(checkFrame(bytes, view, 0, bytes.length, other)).toBe(-1);
      bytes[flip % (FRAME_HEADER_BYTES + payload.length)]! ^= 0x10;
      expect(checkFrame(bytes, view, 0, bytes.length, seed)).toBe(-1);
    }),
  );
});

test('segment and group headers survive encoding; damaged ones and misplaced ones are none', () => {
  const header = fc.record({
    logId: hex32,
    segmentId: hex32,
    sequence: lsn,
    firstLsn: lsn,
    previous: position,
    segmentBytes: lsn,
    inside: fc.boolean(),
  });
  fc.assert(
    fc.property(header, fc.nat(127), (segment, flip) => {
      const block = encodeSegmentHeader(segment);
      expect(decodeSegmentHeader(block)).toEqual(segment);
      block[flip]! ^= 1;
      expect(decodeSegmentHeader(block)).toBeTypeOf('string');
    }),
  );
  fc.assert(
    fc.property(
      fc.record({ at: position, durable: position, firstLsn: lsn, bytes: u32, time: lsn }),
      u32,
      fc.nat(63),
      (group, seed, flip) => {
        const bytes = encodeGroupHeader(group, seed);
        expect(decodeGroupHeader(bytes, viewOf(bytes), 0, group.at, seed)).toEqual(group);
        expect(decodeGroupHeader(bytes, viewOf(bytes), 0, { ...group.at, offset: group.at.offset - 1 }, seed)).toBe(
          null,
        );
        bytes[flip]! ^= 1;
        expect(decodeGroupHeader(bytes, viewOf(bytes), 0, group.at, seed)).toBe(null);
      },
    ),
  );
});

test('what goes into the ring comes out, however often it wraps', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 3 }), { maxLength: 60 }),
      (payloads) => {
        const ring = newRing(4096);
        Atomics.store(ring.control, 1, -16); // the counters wrap, too
        Atomics.store(ring.control, 2, -16);
        const header = new Uint8Array(FRAME_HEADER_BYTES).fill(0xaa);
        for (const parts of payloads) {
          const bytes = parts.reduce((sum, part) => sum + part.length, 0);
          const total = frameBytesTotal(bytes);
          expect(bytesFree(ring)).toBe(4096);
          pushFrame(ring, header, parts, bytes);
          expect(bytesFree(ring)).toBe(4096 - total);
          const out = Buffer.concat(ringSlices(ring, ringHead(ring), total));
          expect(
            out.equals(Buffer.concat([header, ...parts, new Uint8Array(total - FRAME_HEADER_BYTES - bytes)])),
          ).toBe(true);
          releaseTo(ring, ringTail(ring));
        }
      },
    ),
  );
});
