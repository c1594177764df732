// Question: what does one value cost between text, vector and wire? Unit: ns per 1,000 values (so ≤ 1 ms is ≥ 1M values/s).
// Run: node test/bench/types.ts
import { bench, do_not_optimize, group, run } from 'mitata';
import { binaryOutput } from '../../src/types/binary-output.ts';
import { binaryInput } from '../../src/types/binary-input.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { physicalOf } from '../../src/types/pg-type.ts';
import { textInput } from '../../src/types/text-input.ts';
import { textOutput } from '../../src/types/text-output.ts';
import { rowEncoder } from '../../src/types/data-row.ts';
import { timeZone, UTC } from '../../src/types/time-zone.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { typeNamed } from '../types/codec.ts';

const ROWS = 1000;
const pad = (value: number, width: number): string => String(value).padStart(width, '0');
const SAMPLES: Readonly<Record<string, (i: number) => string>> = {
  bool: (i) => (i % 2 === 0 ? 't' : 'f'),
  int4: (i) => String(i * 1_000_003 - 500_000_000),
  int8: (i) => String(1_700_000_000_000_000 + i * 7919),
  float8: (i) => String(i / 100),
  float4: (i) => String(i / 8),
  'numeric(12,2)': (i) => (i * 1.37).toFixed(2),
  'numeric(38,10)': (i) => `1234567890123456789012${i}.1234567891`,
  text: (i) => `flight number ${i}`,
  bytea: (i) => `\\x${pad(i, 16)}`,
  date: (i) => `20${pad(i % 100, 2)}-0${1 + (i % 9)}-1${i % 10}`,
  time: (i) => `1${i % 10}:2${i % 10}:3${i % 10}`,
  timestamp: (i) => `2024-05-1${i % 10} 12:34:56.${pad(i, 6)}`,
  timestamptz: (i) => `2024-05-1${i % 10} 12:34:56.${pad(i, 6)}+02`,
  uuid: (i) => `a0eebc99-9c0b-4ef8-bb6d-6bb9bd38${pad(i, 4)}`,
  json: (i) => `{"user":${i},"tags":["a","b"],"ok":true,"note":"some text here"}`,
  jsonb: (i) => `{"user":${i},"tags":["a","b"],"ok":true,"note":"some text here"}`,
};

for (const [name, sample] of Object.entries(SAMPLES)) {
  const type = typeNamed(name);
  const values = Array.from({ length: ROWS }, (_, i) => Buffer.from(sample(i)));
  const src = Buffer.concat(values);
  const bounds = [0];
  for (const value of values) bounds.push(bounds.at(-1)! + value.length);
  const builder = new VectorBuilder(physicalOf(type));
  const input = textInput(type);
  const fill = (): void => {
    builder.reset();
    for (let i = 0; i < ROWS; i++) input(src, bounds[i]!, bounds[i + 1]!, builder);
  };
  fill();
  const vector = builder.vector();
  const out = new ByteWriter(1 << 20);
  const toText = textOutput(type, { timeZone: UTC });
  const toBinary = binaryOutput(type, { timeZone: UTC });
  const binaryBounds = [0];
  for (let i = 0; i < ROWS; i++) {
    toBinary(vector, i, out);
    binaryBounds.push(out.length);
  }
  const binary = out.take();
  const fromBinary = binaryInput(type);
  const second = new VectorBuilder(physicalOf(type));
  group(name, () => {
    bench(`${name} text in`, fill);
    bench(`${name} text out`, () => {
      out.length = 0;
      for (let i = 0; i < ROWS; i++) toText(vector, i, out);
      do_not_optimize(out.length);
    });
    bench(`${name} binary in`, () => {
      second.reset();
      for (let i = 0; i < ROWS; i++) fromBinary(binary, binaryBounds[i]!, binaryBounds[i + 1]!, second);
    });
    bench(`${name} binary out`, () => {
      out.length = 0;
      for (let i = 0; i < ROWS; i++) toBinary(vector, i, out);
      do_not_optimize(out.length);
    });
  });
}

const row = ['int8', 'timestamptz', 'int4', 'text', 'float8', 'jsonb', 'bool'].map((name) => {
  const type = typeNamed(name);
  const builder = new VectorBuilder(physicalOf(type));
  const input = textInput(type);
  for (let i = 0; i < ROWS; i++) {
    const bytes = Buffer.from(SAMPLES[name]!(i));
    input(bytes, 0, bytes.length, builder);
  }
  return { type, vector: builder.vector() };
});
for (const [format, zone] of [
  [0, 'UTC'],
  [0, 'Europe/Berlin'],
  [1, 'UTC'],
] as const) {
  const encode = rowEncoder(
    row.map(({ type }) => ({ type, format })),
    { timeZone: timeZone(zone) },
  );
  const vectors = row.map(({ vector }) => vector);
  const out = new ByteWriter(1 << 20);
  bench(`DataRow of 7 columns, ${format === 0 ? 'text' : 'binary'}, ${zone}`, () => {
    out.length = 0;
    for (let i = 0; i < ROWS; i++) encode(vectors, i, out);
    do_not_optimize(out.length);
  });
}
await run();
