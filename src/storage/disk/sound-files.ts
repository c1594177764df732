/**
 * Which Parquet files were looked at since the start (C2 in file-sums.ts): main asks the lake once for each, before a request that
 * names it reaches a thread with DuckDB. Staged files are looked at by the start itself.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { Remote } from '../../rpc.ts';
import type { LakeApi } from '../iceberg/lake-api.ts';

interface FilePath {
  readonly path: string;
}

export class SoundFiles {
  readonly #lake: Pick<Remote<LakeApi>, 'checkFiles'>;
  readonly #staged: string;
  readonly #sound = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();

  /** @param stagedDir absolute: files below it are not asked for */
  constructor(lake: Pick<Remote<LakeApi>, 'checkFiles'>, stagedDir: string) {
    this.#lake = lake;
    this.#staged = `${stagedDir}/`;
  }

  /** Null: all of them were looked at. Rejects with XX001 and the file, again with each request until it is whole. */
  check(files: readonly FilePath[]): Promise<void> | null {
    return files.every(({ path }) => this.#isSound(path)) ? null : this.#checked(files);
  }

  #isSound(path: string): boolean {
    return this.#sound.has(path) || path.startsWith(this.#staged);
  }

  async #checked(files: readonly FilePath[]): Promise<void> {
    const unknown: string[] = [];
    const waiting = new Set<Promise<void>>();
    for (const { path } of files) {
      if (this.#isSound(path)) continue;
      const running = this.#running.get(path);
      if (running === undefined) unknown.push(path);
      else waiting.add(running);
    }
    if (unknown.length > 0) waiting.add(this.#ask(unknown));
    await Promise.all(waiting);
  }

  #ask(paths: readonly string[]): Promise<void> {
    const asked = this.#lake
      .checkFiles(paths)
      .then((damaged) => {
        const ill = new Set(damaged.map(({ path }) => path));
        for (const path of paths) if (!ill.has(path)) this.#sound.add(path);
        const [first] = damaged;
        if (first !== undefined) throw new SqlError(SqlState.dataCorrupted, first.message, { hint: first.hint });
      })
      .finally(() => {
        for (const path of paths) this.#running.delete(path);
      });
    for (const path of paths) this.#running.set(path, asked);
    return asked;
  }

  /** They are gone, or will be. */
  forget(paths: readonly string[]): void {
    for (const path of paths) this.#sound.delete(path);
  }
}
