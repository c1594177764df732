/**
 * Makes the catalog image: the data folder of a PGlite with database `arka`, superuser `arka` and the objects of
 * `sql/`, as `dist/catalog-image.tar`. initdb takes seconds, restoring a tar a fraction of one, so it runs at build time.
 *
 * The stamp beside it holds a hash of what the image is made from: nothing is done, and nothing written, while it fits.
 * The tar is not compressed (measured: unpacking gzip costs more than reading the larger file), but trimmed: the files of
 * the template databases and recycled log segments are never read.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';

const root = new URL('../', import.meta.url);
const image = new URL('dist/catalog-image.tar', root);
const stampFile = new URL('dist/catalog-image.stamp', root);

interface Ddl {
  readonly name: string;
  readonly text: string;
}

async function readDdl(): Promise<readonly Ddl[]> {
  const folder = new URL('sql/', root);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(new URL(name, folder), 'utf8') })));
}

async function pgliteVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(
    await readFile(new URL('../package.json', import.meta.resolve('@electric-sql/pglite')), 'utf8'),
  );
  return (manifest as { readonly version: string }).version;
}

async function stampOf(ddl: readonly Ddl[], version: string): Promise<string> {
  const hash = createHash('sha256')
    .update(version)
    .update(await readFile(fileURLToPath(import.meta.url)));
  for (const { name, text } of ddl) hash.update(`\0${name}\0${text}`);
  return hash.digest('hex');
}

async function isCurrent(stamp: string): Promise<boolean> {
  const [found, size] = await Promise.all([
    readFile(stampFile, 'utf8').catch(() => ''),
    readFile(image).then(
      (bytes) => bytes.length,
      () => 0,
    ),
  ]);
  return found === stamp && size > 0;
}

/** Without `-b` here: the objects of the image get their OIDs from PostgreSQL's own counter, below Arka's tables. */
async function makeImage(ddl: readonly Ddl[]): Promise<Uint8Array> {
  const first = await PGlite.create({ initDbStartParams: ['--username=arka', '--wal-segsize=1', '--no-sync'] });
  await first.exec('CREATE DATABASE arka');
  await first.exec('CHECKPOINT');
  const folder = await first.dumpDataDir('none');
  await first.close();
  const second = await PGlite.create({ loadDataDir: folder, database: 'arka' });
  await second.exec('DROP DATABASE postgres');
  for (const { name, text } of ddl) {
    await second.exec(text).catch((error: unknown) => {
      throw new Error(`sql/${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    });
  }
  await second.exec('VACUUM ANALYZE');
  await second.exec('CHECKPOINT');
  const { rows } = await second.query<{ segment: string }>(
    'SELECT redo_wal_file AS segment FROM pg_control_checkpoint()',
  );
  const tar = new Uint8Array(await (await second.dumpDataDir('none')).arrayBuffer());
  await second.close();
  return trimmed(tar, rows[0]!.segment);
}

/** Keeps the entries of a tar (512-byte headers: name at 0, size in octal at 124) that a restored server reads. */
function trimmed(tar: Uint8Array, segment: string): Uint8Array {
  const kept: Uint8Array[] = [];
  const ascii = new TextDecoder('latin1');
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const name = ascii.decode(tar.subarray(at, at + 100)).replace(/\0.*$/s, '');
    const size = Number.parseInt(ascii.decode(tar.subarray(at + 124, at + 136)), 8);
    const end = at + 512 + Math.ceil(size / 512) * 512;
    const template = /^\/?base\/[14]\/(?!PG_VERSION$)./.test(name);
    const wal = /^\/?pg_wal\/([0-9A-F]{24})$/.exec(name)?.[1];
    if (!template && (wal === undefined || wal === segment)) kept.push(tar.subarray(at, end));
    at = end;
  }
  return Buffer.concat([...kept, new Uint8Array(1024)]);
}

/** Whole or not at all: another build may run beside this one. */
async function put(file: URL, bytes: Uint8Array | string): Promise<void> {
  const draft = new URL(`${file.href}.${process.pid}`);
  try {
    await writeFile(draft, bytes);
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}

const started = performance.now();
const [ddl, version] = await Promise.all([readDdl(), pgliteVersion()]);
const stamp = await stampOf(ddl, version);
if (await isCurrent(stamp)) {
  console.log('catalog image: up to date');
} else {
  await mkdir(new URL('dist/', root), { recursive: true });
  const bytes = await makeImage(ddl);
  await put(image, bytes);
  await put(stampFile, stamp);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`catalog image: made with PGlite ${version} in ${seconds} s, ${(bytes.length / 1e6).toFixed(1)} MB`);
}
// PGlite leaves handles behind.
process.exit(0);
