/**
 * Where a thread's entry is: `x.ts` when the sources run, `x.js` in `dist/`. The compiler rewrites import
 * specifiers, but not the text inside `new URL(…)`.
 */
export function workerUrl(relative: string, from: string): URL {
  return new URL(relative + (from.endsWith('.ts') ? '.ts' : '.js'), from);
}
