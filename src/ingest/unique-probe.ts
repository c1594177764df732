/** Which rows have the values that proposed rows have in a UNIQUE constraint (INSERT … ON CONFLICT): values are locked, and looked for. */
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import { NOWHERE, type Located } from './keyed-rows.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { BufferValues, type ValuesAt } from './buffer-values.ts';
import { ValueSearch } from './unique-search.ts';
import { ownRowOf, type HeldValues } from './unique-writes.ts';
import type { WriteContext } from './write-rows.ts';

/**
 * Places as they are in the turn in which it resolves, one a proposed row. Whoever has the transaction's locks of the values knows that
 * there are no other rows with them; the rows found others may still change.
 * @throws {SqlError} 40P01, 55P03, 57014
 */
export async function probeValues(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  part: HeldValues,
  proposed: RowBuffer,
): Promise<Located> {
  for (;;) {
    const { version } = writes.table;
    const probe = new Probe(context, transaction, writes, part, proposed);
    await probe.run();
    if (version === writes.table.version) return { ...probe.places, version };
  }
}

class Probe extends ValueSearch {
  readonly places: Omit<Located, 'version'>;
  readonly #values: BufferValues;
  protected readonly rows: number;

  constructor(
    context: WriteContext,
    transaction: Transaction,
    writes: TableWrites,
    part: HeldValues,
    proposed: RowBuffer,
  ) {
    super(context, transaction, writes, part, 0);
    this.rows = proposed.rows;
    this.places = { units: new Int32Array(this.rows).fill(NOWHERE), positions: new Float64Array(this.rows) };
    this.#values = new BufferValues(proposed, part.unique);
  }

  protected override valuesOf(row: number): ValuesAt {
    return this.#values.at(row);
  }

  protected override locked(row: number, _at: ValuesAt, state: number): boolean {
    const own = ownRowOf(state);
    if (own >= 0 && !this.writes.isDead(own)) this.#put(row, this.writes.unit, own);
    else this.#put(row, NOWHERE, 0);
    return own < 0;
  }

  protected override met(row: number, _at: ValuesAt, unit: number, position: number): void {
    this.#put(row, unit, position);
  }

  #put(row: number, unit: number, position: number): void {
    this.places.units[row] = unit;
    this.places.positions[row] = position;
  }
}
