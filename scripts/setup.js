/**
 * Set-up before `npm start`, `npm test`, `npm run demo` and `npm run build`: installs and builds what is missing.
 *
 * Plain JavaScript with nothing but Node's own modules, for it runs on Node 20 before node_modules exists. Says one
 * line for each thing it does, and nothing when all is there (which takes well under 0.3 s).
 * - S1 Packages are right when npm's own record in node_modules agrees with package-lock.json; else `npm ci`.
 * - S2 dist/ is right when its stamp is the hash of the sources, the compiler's version and its settings.
 * - S3 The catalog image is right when its stamp is the hash of its script, what that imports, sql/ and PGlite's version.
 * - S4 A stamp is written last, so an interrupted step is done again.
 * - S5 Compiled files are made beside dist/ and moved in, so a compiler error leaves the old build as it was.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const IMAGE_SCRIPT = join(root, 'scripts', 'build-catalog-image.ts');
const IMAGE_NAME = /^catalog-image/;
const force = process.argv.includes('--force');

install();
compile();
buildImage();

function install() {
  if (packagesAreRight()) return;
  say('installing packages (npm ci)');
  // warnings about the Node that runs npm are noise: scripts run on the Node of the `node` package
  const npm = process.env['npm_execpath'];
  const args = ['ci', '--include=dev', '--loglevel=error', '--no-audit', '--no-fund'];
  if (npm === undefined) run('npm', args, 'npm ci failed');
  else run(process.execPath, [npm, ...args], 'npm ci failed');
  if (!existsSync(node24())) fail(`npm did not run the install script of the package "node" (is ignore-scripts set?)`);
}

/** S1. Packages for other platforms are optional and absent from npm's record. */
function packagesAreRight() {
  const wanted = readJson(join(root, 'package-lock.json')).packages;
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record) || !existsSync(node24())) return false;
  const present = readJson(record).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || (entry.optional === true && present[path] === undefined)) continue;
    if (present[path]?.version !== entry.version || present[path]?.integrity !== entry.integrity) return false;
  }
  return Object.keys(present).every((path) => wanted[path] !== undefined);
}

function compile() {
  const sources = filesUnder(join(root, 'src')).filter((file) => file.endsWith('.ts'));
  const stamp = hashOf(
    [...sources, join(root, 'tsconfig.json'), join(root, 'tsconfig.build.json')],
    versionOf('typescript'),
  );
  if (!force && readStamp('.sources') === stamp && existsSync(join(dist, 'main.js'))) return;
  say('compiling src/ to dist/');
  const fresh = join(root, 'dist', '.fresh');
  rmSync(fresh, { recursive: true, force: true });
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  run(node24(), [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh], 'the sources do not compile');
  for (const name of readdirSync(dist)) {
    if (name !== '.fresh' && name !== '.image' && !IMAGE_NAME.test(name)) rmSync(join(dist, name), { recursive: true });
  }
  cpSync(fresh, dist, { recursive: true });
  rmSync(fresh, { recursive: true });
  writeFileSync(join(dist, '.sources'), stamp);
}

function buildImage() {
  if (!existsSync(IMAGE_SCRIPT)) return;
  const stamp = hashOf(
    [...importsOf(IMAGE_SCRIPT), ...filesUnder(join(root, 'sql'))],
    versionOf('@electric-sql/pglite'),
  );
  const built = existsSync(dist) && readdirSync(dist).some((name) => IMAGE_NAME.test(name));
  if (!force && built && readStamp('.image') === stamp) return;
  say('building the catalog image');
  run(node24(), [IMAGE_SCRIPT], 'the catalog image could not be built');
  writeFileSync(join(dist, '.image'), stamp);
}

/** A TypeScript file and all it imports from this project, found by their relative specifiers. */
function importsOf(entry) {
  const found = new Set([entry]);
  for (const file of found) {
    for (const [, specifier] of readFileSync(file, 'utf8').matchAll(/from\s+'(\.[^']+\.ts)'/g)) {
      const target = resolve(dirname(file), specifier);
      if (existsSync(target)) found.add(target);
    }
  }
  return [...found].sort();
}

function filesUnder(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function hashOf(files, version) {
  const hash = createHash('sha256').update(version);
  for (const file of files) hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function versionOf(name) {
  return readJson(join(root, 'package-lock.json')).packages[`node_modules/${name}`]?.version ?? '';
}

function readStamp(name) {
  const path = join(dist, name);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

/** Node 24, wherever npm found the Node that runs this script. */
function node24() {
  return join(root, 'node_modules', 'node', 'bin', 'node');
}

function run(command, args, failure) {
  mkdirSync(dist, { recursive: true });
  // standard output belongs to the command that npm runs next
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) fail(`${failure}: ${error.message}`);
  if (status !== 0) fail(failure);
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
