/**
 * Where the local copy of a remote object lies: `CACHE/SCHEME/BUCKET/KEY`, each part of the location a folder or name.
 *
 * - P1 Path and location name each other: the copy is found again by its location, and a path says what to fetch.
 * Pure. Parts that a file system does not take (empty, `.`, `..`, longer than 200 bytes) are written otherwise.
 */
import { join } from 'node:path';

const PART_MAX = 200;
/** Ends a piece of a part that goes on in the next folder. No encoded part ends so: `%` is always followed by two digits. */
const GOES_ON = '%+';

export function cachePath(cacheDir: string, location: string): string {
  const at = location.indexOf('://');
  return join(
    cacheDir,
    location.slice(0, at),
    ...location
      .slice(at + 3)
      .split('/')
      .flatMap(encodePart),
  );
}

/** Null: the path is not in the cache. */
export function cachedLocation(cacheDir: string, path: string): string | null {
  if (!path.startsWith(`${cacheDir}/`)) return null;
  const [scheme, ...parts] = path.slice(cacheDir.length + 1).split('/');
  let rest = '';
  parts.forEach((part, i) => {
    const goesOn = part.endsWith(GOES_ON);
    rest += decodePart(goesOn ? part.slice(0, -GOES_ON.length) : part);
    if (!goesOn && i < parts.length - 1) rest += '/';
  });
  return `${scheme}://${rest}`;
}

/** `%` is always encoded, so `%` of an encoding is never mistaken; names ending in a dot or of temporary files neither. */
function encodePart(part: string): string[] {
  if (part === '') return ['%00'];
  const safe = part
    .replaceAll('%', '%25')
    .replaceAll('\0', '%01')
    .replace(/^\.+/, (dots) => '%2E'.repeat(dots.length));
  const pieces: string[] = [];
  let piece = '';
  for (const unit of safe.match(/%[0-9A-F]{2}|[^]/gu) ?? []) {
    if (Buffer.byteLength(piece + unit) > PART_MAX) {
      pieces.push(piece + GOES_ON);
      piece = '';
    }
    piece += unit;
  }
  return [...pieces, piece];
}

function decodePart(part: string): string {
  return part.replace(/%(00|01|25|2E)/g, (_, code: string) => ({ '00': '', '01': '\0', '25': '%', '2E': '.' })[code]!);
}
