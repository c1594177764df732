// Question: how fast are COPY's parsers before types? Unit: MB/s of input on one core. Run: node test/bench/copy.ts
import { CopyBinaryParser } from '../../src/ingest/copy-binary.ts';
import { CopyCsvParser } from '../../src/ingest/copy-csv.ts';
import { CopyTextParser } from '../../src/ingest/copy-text.ts';

let fields = 0;
const sink = {
  field: (_column: number, _src: Uint8Array, start: number, end: number): void => void (fields += end - start),
  nullField: () => {},
  endRow: () => {},
};
const target = { table: 't', columns: ['id', 'ts', 'v', 'name', 'price', 'payload', 'ok'] };
const row = (i: number): string[] => [
  `${i}`,
  '2026-01-02 03:04:05.678901+00',
  `${i % 1000}`,
  `name of ${i}`,
  `${i / 7}`,
  `{"k": ${i}, "text": "some payload of sixty bytes or so, ok"}`,
  't',
];
const rows = Array.from({ length: 100_000 }, (_, i) => row(i));
const text = Buffer.from(rows.map((r) => `${r.join('\t')}\n`).join(''));
const csv = Buffer.from(
  rows.map((r) => `${r.map((v) => (v.includes('"') ? `"${v.replaceAll('"', '""')}"` : v)).join(',')}\n`).join(''),
);
const csvPlain = Buffer.from(rows.map((r) => `${r.map((v) => v.replaceAll(/[",]/g, ' ')).join(',')}\n`).join(''));
const binary = Buffer.concat([
  Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1'),
  ...rows.flatMap((r) => [
    Buffer.from([0, r.length]),
    ...r.flatMap((v) => [Buffer.from([0, 0, v.length >> 8, v.length & 255]), Buffer.from(v)]),
  ]),
]);

function measure(
  name: string,
  data: Uint8Array,
  chunk: number,
  make: () => { push(bytes: Uint8Array): void; finish(): void },
): void {
  let best = Infinity;
  for (let round = 0; round < 7; round++) {
    const started = performance.now();
    const parser = make();
    for (let at = 0; at < data.length; at += chunk) parser.push(data.subarray(at, at + chunk));
    parser.finish();
    best = Math.min(best, performance.now() - started);
  }
  console.log(
    `${name.padEnd(24)} ${(data.length / best / 1000).toFixed(0)} MB/s, ${(rows.length / best / 1000).toFixed(2)}M rows/s`,
  );
}
for (const chunk of [8192, 65_536]) {
  measure(`text, ${chunk}`, text, chunk, () => new CopyTextParser({ ...target, delimiter: '\t', null: '\\N' }, sink));
  measure(
    `csv plain, ${chunk}`,
    csvPlain,
    chunk,
    () => new CopyCsvParser({ ...target, delimiter: ',', null: '' }, sink),
  );
  measure(
    `csv with quotes, ${chunk}`,
    csv,
    chunk,
    () => new CopyCsvParser({ ...target, delimiter: ',', null: '' }, sink),
  );
  measure(`binary, ${chunk}`, binary, chunk, () => new CopyBinaryParser(target, sink));
}
