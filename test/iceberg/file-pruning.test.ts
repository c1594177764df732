/** What manifests of other writers say of a column, and what may be concluded from it (src/storage/file-pruning.ts). */
import { expect, test } from 'vitest';
import { excludesAll as excludesBy, type FileFilter } from '../../src/storage/file-pruning.ts';
import { encodeBound } from '../../src/storage/iceberg/bounds.ts';
import type { FileColumnStats } from '../../src/storage/file-stats.ts';
import { PackedBounds, statsBounds } from '../../src/storage/packed-bounds.ts';
import { Oid, physicalOf } from '../../src/types/pg-type.ts';
import { putText } from '../../src/types/parse-text-value.ts';
import { textInput } from '../../src/types/text-input.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';

const ROWS = 10;
type Kind = Extract<FileFilter, { readonly rows: number }>['kind'];

function stats(
  lower: Uint8Array | null,
  upper: Uint8Array | null,
  more: Partial<FileColumnStats> = {},
): FileColumnStats {
  return { fieldId: 1, columnBytes: 0, valueCount: ROWS, nullCount: 0, nanCount: null, lower, upper, ...more };
}

function filter(oid: number, kind: Kind, ...texts: string[]): FileFilter {
  const type = { oid, typmod: -1 };
  const builder = new VectorBuilder(physicalOf(type));
  for (const text of texts) putText(textInput(type), text, builder);
  return { kind, type, vector: builder.vector(), rows: texts.length };
}

/** By statistics as they are, and packed as main keeps them. */
function excludesAll(by: FileFilter, column: FileColumnStats | undefined, rows: number): boolean {
  const stats = column === undefined ? [] : [column];
  const excluded = excludesBy(by, statsBounds(stats, rows).of(1));
  expect(excludesBy(by, new PackedBounds(stats, rows).of(1))).toBe(excluded);
  return excluded;
}

const uuid = (first: string): Uint8Array =>
  encodeBound('uuid', Uint8Array.from(Buffer.from(first.padEnd(32, '0'), 'hex')));
const asUuid = (first: string): string => first.padEnd(32, '0').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

test('B1: a column without statistics, or with counts or bounds that do not fit, leaves no file out', () => {
  expect(excludesAll({ kind: 'null' }, stats(null, null), ROWS)).toBe(true);
  expect(excludesAll({ kind: 'null' }, stats(null, null), ROWS + 1)).toBe(false);
  expect(excludesAll({ kind: 'not null' }, stats(null, null, { nullCount: ROWS }), ROWS + 1)).toBe(false);
  const seven = filter(Oid.int4, '=', '7');
  const [low, high] = [encodeBound('int', 1), encodeBound('int', 5)];
  expect(excludesAll(seven, stats(low, high), ROWS)).toBe(true);
  expect(excludesAll(seven, undefined, ROWS)).toBe(false);
  expect(excludesAll(seven, stats(low, Uint8Array.of(5)), ROWS)).toBe(false);
  expect(excludesAll(seven, stats(null, null), ROWS)).toBe(false);
});

test('each comparison leaves out what is surely on the other side, the bounds themselves as they count', () => {
  const [low, high] = [encodeBound('int', 10), encodeBound('int', 20)];
  const excluded = (kind: Kind, ...values: number[]): boolean[] =>
    values.map((value) => excludesAll(filter(Oid.int4, kind, String(value)), stats(low, high), ROWS));
  expect(excluded('=', 9, 10, 20, 21)).toEqual([true, false, false, true]);
  expect(excluded('<', 10, 11)).toEqual([true, false]);
  expect(excluded('<=', 9, 10)).toEqual([true, false]);
  expect(excluded('>', 20, 19)).toEqual([true, false]);
  expect(excluded('>=', 21, 20)).toEqual([true, false]);
  expect(excludesAll(filter(Oid.int4, '=', '1', '15', '30'), stats(low, high), ROWS)).toBe(false);
  expect(excludesAll(filter(Oid.int4, '=', '1', '30'), stats(low, high), ROWS)).toBe(true);
});

test('a file of NULLs alone passes nothing but IS NULL, and one without NULL not that', () => {
  const nulls = stats(null, null, { nullCount: ROWS });
  expect(excludesAll(filter(Oid.text, '=', 'a'), nulls, ROWS)).toBe(true);
  expect(excludesAll({ kind: 'not null' }, nulls, ROWS)).toBe(true);
  expect(excludesAll({ kind: 'null' }, nulls, ROWS)).toBe(false);
  expect(excludesAll({ kind: 'null' }, stats(null, null), ROWS)).toBe(true);
  expect(excludesAll({ kind: 'null' }, stats(null, null, { nullCount: 1 }), ROWS)).toBe(false);
});

test('B2: bounds that were cut hold for what they stand for', () => {
  const bounds = stats(encodeBound('string', 'abcdefghijklmnop'), encodeBound('string', 'abcdefghijklmnoq'));
  const excluded = (kind: Kind, text: string): boolean => excludesAll(filter(Oid.text, kind, text), bounds, ROWS);
  expect(excluded('=', 'abcdefghijklmnopqrs')).toBe(false);
  expect(excluded('=', 'abcdefghijklmno')).toBe(true);
  expect(excluded('<', 'abcdefghijklmnop')).toBe(true);
  expect(excluded('<', 'abcdefghijklmnop ')).toBe(false);
  expect(excluded('prefix', 'abcdefghijklmnop and more')).toBe(false);
  expect(excluded('prefix', 'abc')).toBe(false);
  expect(excluded('prefix', 'abd')).toBe(true);
  expect(excluded('prefix', 'abb')).toBe(true);
});

test('B3: NaN is above all: without a count of it no file is left out for large values', () => {
  const [low, high] = [encodeBound('double', 1), encodeBound('double', 2)];
  for (const kind of ['>', '>='] as const) {
    expect(excludesAll(filter(Oid.float8, kind, '3'), stats(low, high), ROWS)).toBe(false);
    expect(excludesAll(filter(Oid.float8, kind, '3'), stats(low, high, { nanCount: 1 }), ROWS)).toBe(false);
    expect(excludesAll(filter(Oid.float8, kind, '3'), stats(low, high, { nanCount: 0 }), ROWS)).toBe(true);
  }
  expect(excludesAll(filter(Oid.float8, '=', '3'), stats(low, high), ROWS)).toBe(true);
  expect(excludesAll(filter(Oid.float8, '<', '0.5'), stats(low, high), ROWS)).toBe(true);
  const nan = encodeBound('double', Number.NaN);
  for (const kind of ['=', '<', '<=', '>', '>='] as const)
    expect(excludesAll(filter(Oid.float8, kind, '3'), stats(nan, nan, { nanCount: 0 }), ROWS)).toBe(false);
  const zero = stats(encodeBound('double', 0), encodeBound('double', 0), { nanCount: 0 });
  for (const kind of ['=', '<=', '>='] as const)
    expect(excludesAll(filter(Oid.float8, kind, '-0'), zero, ROWS)).toBe(false);
});

test('B4: bounds of uuids in the order of another writer leave nothing out', () => {
  // As signed numbers 80… is the least and 7f… the most.
  const signed = stats(uuid('80'), uuid('7f'));
  for (const text of ['00', '7f', '80', 'ff'])
    expect(excludesAll(filter(Oid.uuid, '=', asUuid(text)), signed, ROWS)).toBe(false);
  const plain = stats(uuid('20'), uuid('40'));
  expect(excludesAll(filter(Oid.uuid, '=', asUuid('10')), plain, ROWS)).toBe(true);
  expect(excludesAll(filter(Oid.uuid, '=', asUuid('30')), plain, ROWS)).toBe(false);
  expect(excludesAll(filter(Oid.uuid, '<', asUuid('20')), plain, ROWS)).toBe(false);
  expect(excludesAll(filter(Oid.uuid, '=', asUuid('41')), plain, ROWS)).toBe(true);
});

test('bounds of a file that was written before int became bigint, or real double precision, are read as they are', () => {
  const ints = stats(encodeBound('int', -5), encodeBound('int', 5));
  const excluded = (text: string): boolean => excludesAll(filter(Oid.int8, '=', text), ints, ROWS);
  expect(['-6', '-5', '5', '6', '4294967291', '4294967301'].map(excluded)).toEqual([
    true,
    false,
    false,
    true,
    true,
    true,
  ]);
  const floats = stats(encodeBound('float', 1.5), encodeBound('float', 2.5));
  expect(excludesAll(filter(Oid.float8, '=', '2.5'), floats, ROWS)).toBe(false);
  expect(excludesAll(filter(Oid.float8, '=', '2.6'), floats, ROWS)).toBe(true);
});
