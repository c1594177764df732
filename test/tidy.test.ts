/** What no compiler checks: who may import whom, how long things get, and what must not be there. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Who may import whom, besides itself and the leaf files `src/*.ts`. Nobody imports `main.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  wire: ['types'], //       owns the `Gateway` interface that gateway/ fills
  planner: ['types'], //    pure: SQL and a catalog view in, a plan out
  storage: ['types'], //    log, memory, disk, Iceberg, object store
  federation: ['types', 'planner', 'storage'], // runs a plan
  ingest: ['types', 'storage'], //                the write path
  types: [], //             OIDs and codecs: open to all
  rights: [], //            roles and what they may do
  catalog: ['types', 'rights'], //    PGlite: describe, pg_catalog
  gateway: ['types', 'rights', 'wire', 'planner', 'storage', 'federation', 'ingest', 'catalog'], // sessions: carries statements out
};
/** Entries of threads and the tree of the process see everything. */
const SEES_ALL = /^(threads\/.*|server.*\.ts|main\.ts|cli\.ts|doctor\.ts)$/;
const LINES_PER_FILE = 600;
const LINES_PER_FUNCTION = 100;
const LINES_PER_README = 60;

const src = join(root, 'src');
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .sort();
const textOf = new Map(sources.map((path) => [path, readFileSync(join(src, path), 'utf8')]));
const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');

/** The files of src/ that a file imports. */
const importsOf = (path: string): string[] => namedBy(path, /^[^'"`]*(?:from|import\(|import)\s*'(\.[^']+)'/gm, '');
/** The entries of the threads that it starts: naming one is not importing it. */
const threadsOf = (path: string): string[] => namedBy(path, /workerUrl\('(\.[^']+)'/g, '.ts');

function namedBy(path: string, pattern: RegExp, ending: string): string[] {
  const code = textOf.get(path)!.replace(/^\s*(\/?\*|\/\/).*$/gm, '');
  const specifiers = [...code.matchAll(pattern)].map((match) => match[1]! + ending);
  return specifiers.map((specifier) => relative(src, resolve(src, dirname(path), specifier)));
}

test('every folder of src/ is in the import table, and imports what the table allows', () => {
  const wrong: string[] = [];
  for (const path of sources.filter((one) => !SEES_ALL.test(one))) {
    const folder = folderOf(path);
    if (folder !== '' && MAY_IMPORT[folder] === undefined) wrong.push(`${path}: no row for ${folder}/`);
    for (const target of importsOf(path)) {
      const to = folderOf(target);
      const allowed = to === '' ? !SEES_ALL.test(target) : to === folder || (MAY_IMPORT[folder] ?? []).includes(to);
      // leaf files may use the types that all may use
      if (!allowed && !(folder === '' && to === 'types')) wrong.push(`${path} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('every import names a file that is there, with its ending', () => {
  const missing = sources.flatMap((path) =>
    [...importsOf(path), ...threadsOf(path)].map((target) => `${path} → ${target}`),
  );
  expect(missing.filter((line) => !textOf.has(line.split(' → ')[1]!))).toEqual([]);
});

test('every file of src/ is used by another, or is an entry', () => {
  const used = new Set(
    sources.flatMap((path) => [...importsOf(path), ...threadsOf(path)].filter((target) => target !== path)),
  );
  expect(sources.filter((path) => !used.has(path) && path !== 'main.ts')).toEqual([]);
});

test(`no file of src/ is longer than ${LINES_PER_FILE} lines`, () => {
  const lines = [...textOf].map(([path, text]): [string, number] => [path, text.split('\n').length - 1]);
  expect(lines.filter(([, count]) => count > LINES_PER_FILE)).toEqual([]);
});

/** Functions by their indentation, which the formatter guarantees: a head that ends in `{`, and its closing brace. */
function longFunctions(path: string, text: string): string[] {
  const found: string[] = [];
  const open: { readonly indent: string; readonly line: number; readonly head: string }[] = [];
  text.split('\n').forEach((line, at) => {
    const indent = /^ */.exec(line)![0];
    const started = open.at(-1);
    if (started !== undefined && line.startsWith(`${started.indent}}`)) {
      // a head over several lines goes on at the same indentation, with `) {`
      open.pop();
      if (at - started.line + 1 > LINES_PER_FUNCTION)
        found.push(`${path}:${started.line + 1} ${at - started.line + 1} lines`);
    }
    const isFunction = /^\s*(export )?(default )?(async )?function\b/.test(line) || line.endsWith('=> {');
    const isMethod =
      /^ {2,}(static |async |override |get |set |\*|#)*[\w$#[][\w$#.\]]*\(.*\{$/.test(line) &&
      !/^\s*(if|for|while|switch|catch)\b/.test(line);
    if ((isFunction && !line.endsWith(';')) || isMethod) open.push({ indent, line: at, head: line });
  });
  return found;
}

test(`no function of src/ is longer than ${LINES_PER_FUNCTION} lines`, () => {
  expect([...textOf].flatMap(([path, text]) => longFunctions(path, text))).toEqual([]);
});

/** What is in version control, or will be: neither ignored files nor the compiler's. */
const kept = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)));

test('no file keeps a note of unfinished work', () => {
  const marker = new RegExp(['FIX' + 'ME', 'TO' + 'DO', 'X' + 'XX(?!X|\\d)'].map((word) => `\\b${word}\\b`).join('|'));
  const read = kept.filter((path) => /\.(ts|js|py|sh|sql|md|json)$/.test(path) && path !== 'package-lock.json');
  expect(read.filter((path) => marker.test(readFileSync(join(root, path), 'utf8')))).toEqual([]);
});

test('no file names a folder of the machine it was written on', () => {
  const local = new RegExp(['/ho' + 'me/\\w', '/wo' + 'rk/\\w', '/Us' + 'ers/\\w'].join('|'));
  const read = kept.filter((path) => /\.(ts|js|py|sh|sql|md|json|toml)$/.test(path) || path === '.ci/run');
  expect(read.filter((path) => local.test(readFileSync(join(root, path), 'utf8')))).toEqual([]);
});

test('time and chance come in through src/clock.ts', () => {
  const own = /\b(Date\.now|Math\.random|setTimeout|setInterval|new Date\(\))|node:timers/;
  const code = (text: string): string => text.replace(/^\s*(\/?\*|\/\/).*$/gm, '').replace(/\/\/.*$/gm, '');
  expect(sources.filter((path) => path !== 'clock.ts' && own.test(code(textOf.get(path)!)))).toEqual([]);
});

const folders = [...new Set(sources.map(folderOf).filter((folder) => folder !== ''))];
test.each(folders)(`src/%s has a README.md of at most ${LINES_PER_README} lines`, (folder) => {
  const path = join(src, folder, 'README.md');
  expect(existsSync(path), path).toBe(true);
  expect(readFileSync(path, 'utf8').split('\n').length - 1).toBeLessThanOrEqual(LINES_PER_README);
});

test('H7: nothing that statements run on main opens a file or a database: that is the work of threads, of start-up and of the log', () => {
  const onMain = /^(wire|ingest|planner|types|gateway|storage\/memory)\//;
  const opens = /from 'node:(fs|fs\/promises|sqlite|child_process)'/;
  expect(sources.filter((path) => onMain.test(path)).length).toBeGreaterThan(100);
  expect(sources.filter((path) => onMain.test(path) && opens.test(textOf.get(path)!))).toEqual([]);
});

test('all versions in package.json are exact', () => {
  const text = readFileSync(join(root, 'package.json'), 'utf8');
  const { dependencies, devDependencies } = JSON.parse(text) as Record<string, Record<string, string>>;
  const versions = Object.entries({ ...dependencies, ...devDependencies });
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
});

test('every package that src/ imports is a dependency, and every dependency is imported', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
  const named = [...textOf.values()].flatMap((text) => [
    ...text.matchAll(/^(?:import|export|\}).* from '([^.'][^']*)'/gm),
  ]);
  const packages = named.map((match) => match[1]!).filter((name) => !name.startsWith('node:'));
  const wanted = new Set(
    packages.map((name) =>
      name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/'),
    ),
  );
  expect([...wanted].filter((name) => !(name in dependencies))).toEqual([]);
  expect(Object.keys(dependencies).filter((name) => !wanted.has(name))).toEqual([]);
});
