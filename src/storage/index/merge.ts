/**
 * Several runs into one: their entries in key order, without those of files that are gone. Pages are read in stretches, past the cache.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { compareKeys } from './key-order.ts';
import type { Pace } from './pace.ts';
import { DamagedRun, PAGE_BYTES, PAGE_HEAD, PAGE_WORDS, pageCrc, type Slice } from './run-format.ts';
import type { RunReader } from './run-reader.ts';
import { RunWriter } from './run-writer.ts';

const READ_PAGES = 32;
/** Entries taken between two looks at the clock. */
const STEP = 4096;

/** One run under way. */
class Input {
  readonly run: RunReader;
  /** Entries at hand: pages of `words`, `page` the current one, `at` the current entry. */
  readonly words = new Int32Array(READ_PAGES * PAGE_WORDS);
  readonly #bytes = new Uint8Array(this.words.buffer);
  readonly #file: FileHandle;
  #group = 0;
  /** Data pages of the group that were read. */
  #inGroup = 0;
  #pages = 0;
  #page = 0;
  #entry = 0;
  #entries = 0;
  at = 0;

  constructor(run: RunReader, file: FileHandle) {
    this.run = run;
    this.#file = file;
  }

  /** False at the end. Call before the first entry, and when `step` has said that pages are used up. */
  async fill(): Promise<boolean> {
    const { run } = this;
    while (this.#group < run.groups && this.#inGroup === run.groupDataPages(this.#group)) {
      this.#group++;
      this.#inGroup = 0;
    }
    if (this.#group === run.groups) return false;
    const first = run.groupStart(this.#group) + this.#inGroup;
    this.#pages = Math.min(READ_PAGES, run.groupDataPages(this.#group) - this.#inGroup);
    const length = this.#pages * PAGE_BYTES;
    const { bytesRead } = await this.#file.read(this.#bytes, 0, length, first * PAGE_BYTES);
    if (bytesRead !== length) throw new DamagedRun(run.path, first * PAGE_BYTES + bytesRead, 'the file ends');
    for (let i = 0; i < this.#pages; i++) {
      const bytes = this.#bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
      if (this.words[i * PAGE_WORDS]! >>> 0 !== pageCrc(bytes, run.salt, first + i))
        throw new DamagedRun(run.path, (first + i) * PAGE_BYTES, 'a page with a wrong checksum');
    }
    this.#inGroup += this.#pages;
    this.#openPage(0);
    return true;
  }

  /** To the next entry; false: `fill` must be called. */
  step(): boolean {
    if (++this.#entry < this.#entries) {
      this.at += this.run.shape.stride;
      return true;
    }
    if (this.#page + 1 === this.#pages) return false;
    this.#openPage(this.#page + 1);
    return true;
  }

  #openPage(page: number): void {
    this.#page = page;
    this.#entry = 0;
    this.#entries = this.words[page * PAGE_WORDS + 1]!;
    this.at = page * PAGE_WORDS + PAGE_HEAD;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** What to do with locators of a run: the number to add for those of a slice, NaN where its entries go. */
interface Moves {
  readonly bases: Float64Array;
  readonly shifts: Float64Array;
}

export interface MergePlan {
  readonly slices: readonly Slice[];
  readonly moves: readonly Moves[];
}

/** Lays the slices that `keep` wants behind one another; neighbours of one file become one. */
export function planMerge(runs: readonly RunReader[], keep: (slice: Slice) => boolean): MergePlan {
  const kept = runs
    .flatMap((run, r) => run.footer.slices.map((slice, s) => ({ slice, r, s })))
    .filter(({ slice }) => keep(slice))
    .toSorted((a, b) =>
      a.slice.location === b.slice.location
        ? a.slice.from - b.slice.from
        : a.slice.location < b.slice.location
          ? -1
          : 1,
    );
  const moves = runs.map((run) => ({ bases: run.bases, shifts: new Float64Array(run.bases.length).fill(Number.NaN) }));
  const slices: Slice[] = [];
  let base = 0;
  for (const { slice, r, s } of kept) {
    moves[r]!.shifts[s] = base - runs[r]!.bases[s]!;
    base += slice.to - slice.from;
    const last = slices.at(-1);
    if (last !== undefined && last.location === slice.location && last.to === slice.from)
      slices[slices.length - 1] = { ...last, to: slice.to };
    else slices.push(slice);
  }
  return { slices, moves };
}

/** Writes the merged run. @throws {DamagedRun} */
export async function mergeRuns(
  runs: readonly RunReader[],
  plan: MergePlan,
  path: string,
  head: { readonly tableUuid: string; readonly fingerprint: string },
  pace: Pace,
): Promise<void> {
  const { width, stride } = runs[0]!.shape;
  const writer = await RunWriter.create(path, { ...head, width, slices: plan.slices });
  const inputs: Input[] = [];
  try {
    for (const run of runs) inputs.push(new Input(run, await open(run.path, 'r')));
    await mergeInto(writer, inputs, plan, width, stride, pace);
    await writer.finish();
  } catch (error) {
    await writer.abandon();
    throw error;
  } finally {
    for (const input of inputs) await input.close();
  }
}

async function mergeInto(
  writer: RunWriter,
  inputs: readonly Input[],
  plan: MergePlan,
  width: number,
  stride: number,
  pace: Pace,
): Promise<void> {
  const numbers = new Map(inputs.map((input, i) => [input, i]));
  const live: Input[] = [];
  for (const input of inputs) if (await input.fill()) live.push(input);
  live.sort((a, b) => compareKeys(a.words, a.at, b.words, b.at, width));
  const out = new Int32Array(STEP * stride);
  let count = 0;
  let steps = 0;
  while (live.length > 0) {
    const input = live[0]!;
    const moves = plan.moves[numbers.get(input)!]!;
    const second = live[1];
    // As long as it stays below the second, the first goes on.
    let more = true;
    do {
      const target = count * stride;
      for (let w = 0; w < width; w++) out[target + w] = input.words[input.at + w]!;
      const locator = input.words[input.at + width]! >>> 0;
      const shift = moves.shifts[sliceOf(moves.bases, locator)]!;
      if (shift === shift) {
        out[target + width] = locator + shift;
        count++;
      }
      more = input.step();
      steps++;
    } while (
      more &&
      count < STEP &&
      steps < STEP &&
      (second === undefined || compareKeys(input.words, input.at, second.words, second.at, width) <= 0)
    );
    if (count === STEP) {
      await writeAll(writer, out, count, stride);
      count = 0;
    }
    if (!more) more = await input.fill();
    if (more) moveDown(live, width);
    else live.shift();
    if (steps < STEP) continue;
    steps = 0;
    if (pace.due) await pace.turn();
  }
  await writeAll(writer, out, count, stride);
}

/** The first input's key may have passed others: puts it at its place. */
function moveDown(live: Input[], width: number): void {
  const input = live[0]!;
  let low = 0;
  let high = live.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    const other = live[middle]!;
    if (compareKeys(other.words, other.at, input.words, input.at, width) < 0) low = middle;
    else high = middle - 1;
  }
  for (let i = 0; i < low; i++) live[i] = live[i + 1]!;
  live[low] = input;
}

async function writeAll(writer: RunWriter, entries: Int32Array, count: number, stride: number): Promise<void> {
  for (let done = 0; done < count;) {
    const taken = Math.min(writer.room, count - done);
    writer.add(entries, done * stride, taken);
    done += taken;
    await writer.flush();
  }
}

/** The slice that a row number lies in. */
export function sliceOf(bases: Float64Array, locator: number): number {
  let low = 0;
  let high = bases.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (bases[middle]! <= locator) low = middle;
    else high = middle - 1;
  }
  return low;
}
