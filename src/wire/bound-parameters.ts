/** The values of a Bind, where they stand in its message: a view is made only of what is asked for. */
import type { ColumnVector } from '../types/column-vector.ts';
import type { Format } from '../types/result-column.ts';
import type { BoundParameters } from './gateway-api.ts';

export class MessageParameters implements BoundParameters {
  /** 0, 1 or n codes, as in the message. */
  readonly formats: readonly Format[];
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  kept: readonly (ColumnVector | undefined)[] | null = null;
  #values: readonly (Uint8Array | null)[] | null = null;

  constructor(formats: readonly Format[], bytes: Uint8Array, starts: readonly number[], ends: readonly number[]) {
    this.formats = formats;
    this.bytes = bytes;
    this.starts = starts;
    this.ends = ends;
  }

  get values(): readonly (Uint8Array | null)[] {
    this.#values ??= this.starts.map((start, i) => (start < 0 ? null : this.bytes.subarray(start, this.ends[i]!)));
    return this.#values;
  }
}

/** Of values that are not in a message. */
export function parametersOf(formats: readonly Format[], values: readonly (Uint8Array | null)[]): BoundParameters {
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const value of values) {
    starts.push(value === null ? -1 : at);
    at += value?.length ?? 0;
    ends.push(at);
  }
  const bytes = new Uint8Array(at);
  values.forEach((value, i) => value !== null && bytes.set(value, starts[i]!));
  return new MessageParameters(formats, bytes, starts, ends);
}
