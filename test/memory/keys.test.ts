import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeleteList } from '../../src/storage/memory/delete-list.ts';
import { keyEncoder } from '../../src/storage/memory/key-encoder.ts';
import { hashKey, KeyTable, type KeyWords } from '../../src/storage/memory/key-table.ts';
import { KEY_SETTLED, LockTable } from '../../src/storage/memory/lock-table.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { SlabPool } from '../../src/storage/memory/slab-pool.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { columnVector, type ColumnVector, type Physical } from '../../src/types/column-vector.ts';
import { put, rowsOf } from './values.ts';

test('a key table holds what a map holds, through growth and deletions in crowded runs', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 400 }),
    a: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).filter((a) => a !== 0),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), fc.integer({ min: 0, max: 3 }), (steps, word) => {
      const keys = new KeyTable(7);
      const model = new Map<number, readonly [number, number]>();
      const words = new Int32Array(4);
      for (const { key, a, remove } of steps) {
        words.fill(0);
        words[word] = key;
        if (remove) {
          expect(keys.delete(words, hashKey(words, 7))).toBe(model.delete(key));
        } else {
          expect(keys.claim(words, hashKey(words, 7), a, key)).toBe(!model.has(key));
          expect(keys.a).toBe(model.get(key)?.[0] ?? a);
          model.set(key, [keys.a, a]);
          keys.put(a);
        }
      }
      expect(keys.size).toBe(model.size);
      for (let key = 0; key <= 400; key++) {
        words.fill(0);
        words[word] = key;
        expect(keys.find(words, hashKey(words, 7))).toBe(model.has(key));
        if (model.has(key)) expect([keys.a, keys.b]).toEqual(model.get(key));
      }
    }),
    { numRuns: 30 },
  );
});

test('keys are equal as words exactly when they are equal as values', () => {
  const keyTypes: readonly (readonly Physical[])[] = [
    ['int32'],
    ['int64'],
    ['fixed16'],
    ['int32', 'bool', 'int64'],
    ['bytes'],
    ['bytes', 'bytes'],
    ['int128', 'int32'],
    ['int64', 'bytes', 'bool'],
    ['float64'],
    ['float32', 'int32'],
    ['float64', 'bytes'],
  ];
  const memory = new Memory(2 * SLAB_BYTES);
  fc.assert(
    fc.property(
      fc
        .constantFrom(...keyTypes)
        .chain((types) =>
          rowsOf(types, 40).map((rows) => ({ types, rows: rows.filter((row) => !row.includes(null)) })),
        ),
      ({ types, rows }) => {
        const encode = keyEncoder(types, Int32Array.of(42, 7, -3, 1));
        const buffer = new RowBuffer(memory, types);
        // each row twice: at other places the words must be the same
        for (const row of [...rows, ...rows]) {
          const sinks = buffer.sinks();
          row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
          buffer.endRow();
        }
        const words: string[] = [];
        const out = new Int32Array(4).fill(-1);
        for (const batch of buffer.batches) {
          for (let row = 0; row < batch.rows; row++) {
            encode(batch.vectors(), row, out);
            words.push(out.join());
          }
        }
        const byValue = new Map<string, string>();
        [...rows, ...rows].forEach((row, i) => {
          // what PostgreSQL calls equal: -0 is 0, NaN is NaN
          const value = JSON.stringify(row, (_, part: unknown) => (typeof part === 'number' ? String(part + 0) : part));
          expect(byValue.get(value) ?? words[i]).toBe(words[i]);
          byValue.set(value, words[i]!);
        });
        expect(new Set(byValue.values()).size).toBe(byValue.size);
        buffer.retire();
      },
    ),
    { numRuns: 100 },
  );
});

test('C12: keys that collide under every seed of MurmurHash3 are different keys', () => {
  const [c1, c2, c3, c4] = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93];
  const inverse = (odd: number): number => {
    let x = odd;
    for (let i = 0; i < 5; i++) x = Math.imul(x, 2 - Math.imul(odd, x));
    return x;
  };
  const rotl = (x: number, r: number): number => (x << r) | (x >>> (32 - r));
  /** The word whose mixed form differs from that of `word` by `difference`. */
  const other = (word: number, first: number, turn: number, second: number, difference: number): number => {
    const mixed = Math.imul(rotl(Math.imul(word, first), turn), second) ^ difference;
    return Math.imul(rotl(Math.imul(mixed, inverse(second)), 32 - turn), inverse(first));
  };
  const left = [1, 2, 3, 4, 1, 2, 3, 4];
  const right = [
    other(1, c1, 15, c2, 1 << 12), // turned to the top bit of lanes 1 and 4, which no addition or multiplication by 5 spreads
    2,
    3,
    4,
    other(1, c1, 15, c2, 1 << 31),
    2,
    other(3, c3, 17, c4, 1 << 16),
    other(4, c4, 18, c1, 1 << 31),
  ];
  const words = (from: readonly number[]): ColumnVector => columnVector('fixed16', { words: Int32Array.from(from) });
  for (const secret of [Int32Array.of(0, 0, 0, 0), Int32Array.of(42, 42, 42, 42)]) {
    const encode = keyEncoder(['fixed16', 'fixed16'], secret);
    const [a, b] = [new Int32Array(4), new Int32Array(4)];
    encode([words(left.slice(0, 4)), words(left.slice(4))], 0, a);
    encode([words(right.slice(0, 4)), words(right.slice(4))], 0, b);
    expect([...a]).not.toEqual([...b]);
  }
});

test('C4: a delete list is an array of positions and LSNs; a scan of its first n entries names exactly those', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 100_000 }), { maxLength: 5000, size: 'max' }),
      fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
      (positions, picks) => {
        const pool = new SlabPool(2 * SLAB_BYTES);
        const list = new DeleteList(pool);
        positions.forEach((position, i) => {
          expect(list.has(position)).toBe(false);
          expect(list.reserve(1)).toBe(true);
          list.append(position, i >> 2);
        });
        for (const position of positions) expect(list.has(position)).toBe(true);
        const [a, b, c, d] = picks.map((pick) => pick % (positions.length + 1));
        const from = Math.min(a!, b!);
        const to = Math.max(a!, b!);
        expect([...list.positions(from, to)]).toEqual(positions.slice(from, to));
        expect([...list.lsns(from, to)]).toEqual(positions.slice(from, to).map((_, i) => (from + i) >> 2));
        expect(list.lengthAt(c! >> 2)).toBe(Math.min(positions.length, ((c! >> 2) + 1) * 4));
        const ref = list.ref(d!);
        const seen = (ref?.blocks ?? []).flatMap(({ address, count }) => [...pool.directory.words(address, count)]);
        expect(seen).toEqual(positions.slice(0, d));
        expect(ref?.count ?? 0).toBe(d);
        list.free();
        expect(pool.usedBytes).toBe(0);
      },
    ),
    { numRuns: 30 },
  );
});

test('C4: a unit that goes as a whole has the entries of the rows that were alive, in the order of their positions', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 100 }),
      fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
      (positions, picks) => {
        const pool = new SlabPool(2 * SLAB_BYTES);
        const list = new DeleteList(pool);
        list.reserve(positions.length);
        list.appendAll(Uint32Array.from(positions), 1);
        const [a, b, c, d] = picks.map((pick) => pick % 101) as [number, number, number, number];
        list.publish(Math.min(a, positions.length));
        const alive = Array.from({ length: 100 }, (_, position) => position).filter(
          (each) => !positions.includes(each),
        );
        expect(list.killAll(100, 2)).toBe(alive.length);
        expect(list.killAll(100, 3)).toBe(0);
        const all = [...positions, ...alive];
        const [from, to] = [Math.min(b, c), Math.max(b, c)];
        expect(list.length).toBe(100);
        expect([...list.positions(from, to)]).toEqual(all.slice(from, to));
        expect([...list.lsns(0, 100)]).toEqual(all.map((_, i) => (i < positions.length ? 1 : 2)));
        expect([list.lengthAt(1), list.lengthAt(2)]).toEqual([positions.length, 100]);
        const published = new Set(all.slice(0, list.published));
        for (const position of all) {
          expect(list.has(position)).toBe(true);
          expect(list.hasPublished(position)).toBe(published.has(position));
        }
        expect(list.has(100)).toBe(false);
        list.publish(100);
        expect(all.every((position) => list.hasPublished(position))).toBe(true);
        const kept = Math.min(d, positions.length);
        list.truncate(kept);
        expect(all.filter((position) => list.has(position))).toEqual(positions.slice(0, kept));
        list.free();
        expect(pool.usedBytes).toBe(0);
      },
    ),
    { numRuns: 50 },
  );
});

test('H16: entries on their way when the rows of two units moved into one become visible there in the order of their LSNs', () => {
  const pool = new SlabPool(2 * SLAB_BYTES);
  const [left, right, moved] = [new DeleteList(pool), new DeleteList(pool), new DeleteList(pool)];
  for (const list of [left, right, moved]) expect(list.reserve(10)).toBe(true);
  for (let i = 0; i < 5; i++) left.append(i, 10 * i); // 30 and 40 are carried over
  for (const lsn of [35, 40]) right.append(lsn, lsn);
  left.publish(3);
  [30, 35, 40, 40].forEach((lsn, i) => moved.append(i, lsn));
  for (const list of [left, right]) list.forward = moved;
  left.publish(3);
  expect(moved.published).toBe(0);
  left.publish(4);
  expect(moved.published).toBe(1);
  right.publish(1);
  expect(moved.published).toBe(2);
  left.publish(5);
  right.publish(2);
  expect([left.published, right.published, moved.published]).toEqual([5, 2, 4]);
});

test('L1: a lock table with bits is one without; an entry over a bit hides it, and what is taken back shows it again', () => {
  const physicals = fc.constantFrom<Physical>('int32', 'int64', 'fixed16');
  const step = fc.record({
    act: fc.constantFrom('claim', 'settle', 'settle', 'settle', 'put', 'delete', 'release'),
    upper: fc.constantFrom(0, 0, -1, 7),
    lower: fc.oneof(fc.nat(9), fc.constantFrom(-1, 4096, 2 ** 30)),
    holder: fc.integer({ min: 1, max: 2 }),
    state: fc.nat(5),
  });
  const key: KeyWords = new Int32Array(4);
  fc.assert(
    fc.property(physicals, fc.array(step, { maxLength: 80 }), (physical, steps) => {
      const locks = new LockTable([physical], 7);
      /** Entries, and below them bits. */
      const entries = new Map<string, [number, number]>();
      const bits = new Map<string, number>();
      for (const { act, upper, lower, holder, state } of steps) {
        key.set([lower, physical === 'int32' ? 0 : upper, 0, 0]);
        const name = `${key[1]}:${lower}`;
        const hash = hashKey(key, 7);
        const bit = bits.get(name);
        const before = entries.get(name) ?? (bit === undefined ? undefined : [bit, KEY_SETTLED]);
        if (act === 'claim') {
          expect(locks.claim(key, hash, holder, state)).toBe(before === undefined);
          if (before === undefined) entries.set(name, [holder, state]);
        } else if (act === 'settle') {
          const settled = locks.claimSettled(key, hash, holder);
          const fresh = physical === 'fixed16' ? 'entry' : 'bit';
          expect(settled).toBe(before === undefined ? fresh : 'held');
          if (settled === 'bit') bits.set(name, holder);
          else if (settled === 'entry') entries.set(name, [holder, KEY_SETTLED]);
        } else if (act === 'put' && before !== undefined) {
          expect(locks.find(key, hash)).toBe(true);
          const isOver = !entries.has(name) && state !== KEY_SETTLED;
          expect(locks.put(state)).toBe(isOver);
          if (isOver || entries.has(name)) entries.set(name, [before[0]!, state]);
        } else if (act === 'delete') {
          expect(locks.delete(key, hash)).toBe(entries.delete(name));
        } else if (act === 'release') {
          locks.releaseBits(holder);
          for (const [each, by] of bits) if (by === holder) bits.delete(each);
        }
        const now = entries.get(name) ?? (bits.has(name) ? [bits.get(name)!, KEY_SETTLED] : null);
        expect(locks.find(key, hash) ? [locks.a, locks.b] : null).toEqual(now);
        expect(locks.size).toBe(entries.size + bits.size);
      }
    }),
  );
});

test('keys far from each other take no page each: they are entries', () => {
  const locks = new LockTable(['int64'], 7);
  const key: KeyWords = new Int32Array(4);
  const settle = (at: number, by: number): string => {
    key.set([at * by, (at * by) / 2 ** 32, 0, 0]);
    return locks.claimSettled(key, hashKey(key, 7), 1);
  };
  const far = Array.from({ length: 3000 }, (_, i) => settle(i + 1, 2 ** 21 + 1));
  expect(far.filter((each) => each === 'bit').length).toBeLessThan(1200);
  const bytes = locks.bytes;
  locks.releaseBits(1);
  const near = new Set(Array.from({ length: 3000 }, (_, i) => settle(i + 1, 1)));
  expect([...near]).toEqual(['bit']);
  expect(locks.bytes).toBeLessThan(bytes);
});

test('entries of one transaction have one LSN, whatever a rollback took back before; LSNs take no room a row', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ rows: fc.nat(300), lsn: fc.nat(3), back: fc.nat(400) }), { maxLength: 12 }),
      fc.nat(),
      (steps, pick) => {
        const pool = new SlabPool(2 * SLAB_BYTES);
        const list = new DeleteList(pool);
        let lsns: number[] = [];
        let lsn = 1;
        for (const { rows, lsn: more, back } of steps) {
          lsn += more;
          const from = list.length;
          expect(list.reserve(rows)).toBe(true);
          list.appendAll(
            Uint32Array.from({ length: rows }, (_, i) => from + i),
            lsn,
          );
          lsns.push(...Array.from({ length: rows }, () => lsn));
          if (back < lsns.length && back % 3 === 0) {
            list.truncate(lsns.length - back);
            lsns = lsns.slice(0, lsns.length - back);
          }
        }
        const at = pick % (lsns.length + 1);
        expect([...list.lsns(at, lsns.length)]).toEqual(lsns.slice(at));
        expect(lsns.map((_, i) => list.lsnAt(i))).toEqual(lsns);
        for (let each = 0; each <= lsn; each++)
          expect(list.lengthAt(each)).toBe(lsns.filter((entry) => entry <= each).length);
        list.free();
      },
    ),
    { numRuns: 30 },
  );
});

test('settling drops the LSNs of entries that Iceberg has, and changes nothing else; what a list holds is counted', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat(), fc.nat(2000), (before, pick, after) => {
      const pool = new SlabPool(2 * SLAB_BYTES);
      const list = new DeleteList(pool);
      const append = (from: number, to: number): void => {
        for (let i = from; i < to; i++) {
          expect(list.reserve(1)).toBe(true);
          list.append(i * 3, i + 1);
        }
      };
      append(0, before);
      const settled = pick % (before + 1);
      const held = pool.heapBytes;
      list.settle(settled);
      expect(pool.heapBytes).toBeLessThanOrEqual(held);
      append(before, before + after);
      const length = before + after;
      expect([...list.positions(0, length)]).toEqual(Array.from({ length }, (_, i) => i * 3));
      expect([...list.lsns(settled, length)]).toEqual(
        Array.from({ length: length - settled }, (_, i) => settled + i + 1),
      );
      for (const lsn of [settled, settled + 1, length]) expect(list.lengthAt(lsn)).toBe(Math.min(length, lsn));
      for (const index of [0, settled, length - 1]) expect(list.has(index * 3)).toBe(index < length);
      expect(pool.deleteBytes).toBe(pool.usedBytes);
      list.free();
      expect([pool.usedBytes, pool.deleteBytes, pool.heapBytes]).toEqual([0, 0, 0]);
    }),
    { numRuns: 40 },
  );
});
