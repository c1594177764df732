/** What a portion of a MERGE does, by kind: rows that are updated with what they become, rows that are deleted, new rows. */
import { appendRows, type FoundChunk } from '../ingest/change-rows.ts';
import { RowPlaces } from '../ingest/row-places.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';

export class MergeParts {
  readonly updates: FoundChunk & { readonly fresh: RowBuffer };
  readonly deletes: FoundChunk & { readonly fresh: null };
  readonly inserts: RowBuffer;
  readonly #names: RowBuffer;
  readonly #fresh: RowBuffer;

  /** @param names of the rows found @param fresh new rows, updated and inserted */
  constructor(names: RowBuffer, fresh: RowBuffer) {
    this.#names = names;
    this.#fresh = fresh;
    this.updates = { places: new RowPlaces(), names: names.like(), fresh: fresh.like() };
    this.deletes = { places: new RowPlaces(), names: names.like(), fresh: null };
    this.inserts = fresh.like();
  }

  /** @param places of the rows found @param updated of those that are updated, in order, and of the new rows in their places */
  split(places: RowPlaces, updated: RowPlaces): void {
    const { updates, deletes, inserts } = this;
    const { units: olds, positions: news, length } = updated;
    for (let row = 0, next = 0; row < places.length; row++) {
      const isUpdated = next < length && olds[next] === row;
      if (isUpdated) next++;
      (isUpdated ? updates : deletes).places.push(places.units[row]!, places.positions[row]!);
    }
    divide(this.#names, olds.subarray(0, length), updates.names, deletes.names);
    divide(this.#fresh, news.subarray(0, length), updates.fresh, inserts);
  }

  retire(): void {
    for (const buffer of [this.updates.names, this.updates.fresh, this.deletes.names, this.inserts]) buffer.retire();
  }
}

/** Copies the rows that are named, in order, to one buffer, and the others to another, neighbours together. */
function divide(source: RowBuffer, named: ArrayLike<number>, to: RowBuffer, others: RowBuffer): void {
  let done = 0;
  for (let at = 0; at < named.length;) {
    const from = named[at]!;
    let end = from + 1;
    for (at++; at < named.length && named[at] === end; at++) end++;
    appendRows(source, done, from, others);
    appendRows(source, from, end, to);
    done = end;
  }
  appendRows(source, done, source.rows, others);
}
