/** K1: what a transaction knows of deleted rows' places, packed, against a plain list; and the locks of such places. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackedPlaces, type Place } from '../../src/ingest/packed-places.ts';
import { PlaceLocks } from '../../src/storage/memory/place-locks.ts';

/** Places as statements find them: rising, with gaps, backwards, or here and there. */
const stretch = fc.record({
  unit: fc.integer({ min: 1, max: 3 }),
  first: fc.nat(3_000_000_000),
  count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 4500 })),
  step: fc.constantFrom(1, 1, 3, 200, -1, 0),
});

function placesOf(stretches: readonly { unit: number; first: number; count: number; step: number }[]): Place[] {
  return stretches.flatMap(({ unit, first, count, step }) =>
    Array.from({ length: count }, (_, i) => ({
      unit: step === 0 ? 1 + (i % 3) : unit,
      position: (first + i * step + 2 ** 32) % 2 ** 32,
    })),
  );
}

function listOf(packed: PackedPlaces, start = 0, end = packed.length): Place[] {
  const out: Place[] = [];
  packed.forRuns((unit, positions) => positions.forEach((position) => out.push({ unit, position })), start, end);
  return out;
}

test('packed places are those that were put in, in their order, whatever was taken back or moved in between', () => {
  fc.assert(
    fc.property(
      fc.array(stretch, { maxLength: 4 }),
      fc.array(stretch, { maxLength: 3 }),
      fc.nat(),
      fc.nat(),
      (before, after, cut, part) => {
        const packed = new PackedPlaces();
        let list = placesOf(before);
        for (const { unit, position } of list) packed.push(unit, position);
        const kept = cut % (list.length + 1);
        packed.truncate(kept);
        list = [...list.slice(0, kept), ...placesOf(after)];
        for (const { unit, position } of list.slice(kept)) packed.push(unit, position);
        expect(packed.length).toBe(list.length);
        expect(listOf(packed)).toEqual(list);
        const [from, to] = [cut % (list.length + 1), part % (list.length + 1)].toSorted((a, b) => a - b) as [
          number,
          number,
        ];
        expect(listOf(packed, from, to)).toEqual(list.slice(from, to));
        const grouped = Map.groupBy(list.slice(from, to), ({ unit }) => unit);
        expect(packed.counts(from, to)).toEqual(new Map(Array.from(grouped, ([unit, each]) => [unit, each.length])));
        for (const [unit, positions] of packed.byUnit(from, to))
          expect([...positions]).toEqual(grouped.get(unit)!.map(({ position }) => position));
        for (const unit of [1, 2, 3, 4]) expect(packed.has(unit)).toBe(list.some((each) => each.unit === unit));
        const moved = (unit: number, position: number): Place | null =>
          unit === 2 ? { unit: 4, position: position >>> 1 } : null;
        packed.remap(moved);
        expect(listOf(packed)).toEqual(list.map(({ unit, position }) => moved(unit, position) ?? { unit, position }));
      },
    ),
    { numRuns: 20 },
  );
});

test('the place of a row is locked by one transaction at a time, and goes back with it, alone or with all others', () => {
  const step = fc.record({
    act: fc.constantFrom('claim', 'claim', 'claim', 'delete', 'release'),
    unit: fc.integer({ min: 1, max: 2 }),
    position: fc.oneof(fc.nat(5), fc.nat(100_000)),
    holder: fc.integer({ min: 1, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const locks = new PlaceLocks();
      const held = new Map<string, number>();
      for (const { act, unit, position, holder } of steps) {
        const place = `${unit}:${position}`;
        const before = held.get(place) ?? 0;
        if (act === 'release') {
          locks.release(holder);
          for (const [each, by] of held) if (by === holder) held.delete(each);
        } else if (act === 'delete') {
          locks.delete(unit, position, holder);
          if (before === holder) held.delete(place);
        } else if (before === holder) {
          expect(() => locks.claim(unit, position, holder)).toThrow('a scan does not show rows');
        } else {
          expect(locks.claim(unit, position, holder)).toBe(before);
          if (before === 0) held.set(place, holder);
        }
        expect(locks.holderOf(unit, position)).toBe(held.get(place) ?? 0);
      }
      for (const holder of [1, 2, 3]) locks.release(holder);
      expect(locks.bytes).toBe(0);
    }),
  );
});
