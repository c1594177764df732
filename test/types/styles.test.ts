/** Styles of sessions: what is written in one is read in it as the same value, and the name that they travel with says them whole. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInterval, shownInterval } from '../../src/types/interval-input.ts';
import {
  DEFAULT_STYLES,
  readStyles,
  storedStyles,
  stylesIn,
  withStyles,
  zoneName,
  type Styles,
} from '../../src/types/output-styles.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { restyled } from '../../src/types/styled-text.ts';
import { timeZone, type TimeZone } from '../../src/types/time-zone.ts';
import type { PgType } from '../../src/table-def.ts';
import { parse, print } from './codec.ts';

const anyStyles: fc.Arbitrary<Styles> = fc.record({
  date: fc.constantFrom('ISO', 'SQL', 'Postgres', 'German'),
  order: fc.constantFrom('MDY', 'DMY', 'YMD'),
  interval: fc.constantFrom('postgres', 'postgres_verbose', 'sql_standard', 'iso_8601'),
  bytea: fc.constantFrom('hex', 'escape'),
  floatDigits: fc.integer({ min: -15, max: 3 }),
});

/** In the defaults. */
const inputText = (type: PgType, text: string, zone: TimeZone): string => print(type, parse(type, text, zone));

/** Text of the defaults, written in the styles; as it is where they leave it. */
function shown(text: string, oid: number, styles: Styles): string {
  const zone = timeZone(withStyles('UTC', styles));
  return restyled({ oid, typmod: -1 }, styles, zone)?.(text) ?? text;
}

test('styles travel with a zone, and the defaults add nothing to it', () => {
  fc.assert(
    fc.property(anyStyles, (styles) => {
      const name = withStyles('Europe/Berlin', styles);
      expect(zoneName(name)).toBe('Europe/Berlin');
      expect(stylesIn(name) ?? DEFAULT_STYLES).toEqual({ ...styles, floatDigits: Math.min(styles.floatDigits, 1) });
      expect(stylesIn(storedStyles(name)) ?? DEFAULT_STYLES).toEqual({ ...DEFAULT_STYLES, order: styles.order });
      expect(timeZone(name).offsetSeconds(0)).toBe(3600);
    }),
  );
  expect(withStyles('UTC', { ...DEFAULT_STYLES, floatDigits: 3 })).toBe('UTC');
});

describe('what a style writes is read in it as the same value', () => {
  const day = fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
  test('dates and timestamps, or values are not read again', () => {
    fc.assert(
      fc.property(anyStyles, day, (styles, date) => {
        const name = withStyles('UTC', styles);
        const whole = date.toISOString().slice(0, 19).replace('T', ' ');
        let read: string;
        try {
          read = readStyles(name, 'SELECT d::text');
        } catch {
          expect(styles.date).not.toBe('ISO');
          return;
        }
        for (const [oid, text] of [
          [Oid.date, whole.slice(0, 10)],
          [Oid.timestamp, whole],
          [Oid.timestamptz, `${whole}+00`],
        ] as const)
          expect(inputText({ oid, typmod: -1 }, shown(text, oid, styles), timeZone(read))).toBe(text);
      }),
    );
  });

  test('intervals', () => {
    const part = fc.integer({ min: -100_000, max: 100_000 });
    const micros = fc.oneof(fc.constant(0), fc.integer({ min: -1e12, max: 1e12 }));
    fc.assert(
      fc.property(anyStyles, part, part, micros, (styles, months, days, time) => {
        const text = shownInterval({ months, days, micros: time });
        const again = parseInterval(shown(text, Oid.interval, styles), styles.interval === 'sql_standard');
        expect(again).toEqual({ months, days, micros: time });
      }),
    );
  });

  test('bytes, and floats to the digits that are shown', () => {
    fc.assert(
      fc.property(anyStyles, fc.uint8Array({ maxLength: 20 }), fc.double({ noNaN: true }), (styles, bytes, float) => {
        const hex = `\\x${Buffer.from(bytes).toString('hex')}`;
        expect(inputText({ oid: Oid.bytea, typmod: -1 }, shown(hex, Oid.bytea, styles), timeZone('UTC'))).toBe(hex);
        const text = inputText({ oid: Oid.float8, typmod: -1 }, String(float), timeZone('UTC'));
        const digits = Math.max(15 + styles.floatDigits, 1);
        const expected = styles.floatDigits >= 1 || !Number.isFinite(float) ? float : Number(float.toPrecision(digits));
        const again = Number(shown(text, Oid.float8, styles));
        if (Number.isFinite(expected))
          expect(Math.abs(again - expected)).toBeLessThanOrEqual(Math.abs(expected) * 10 ** (1 - digits));
      }),
    );
  });
});
