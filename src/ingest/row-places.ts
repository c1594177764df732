/** Where rows are, (unit, position) after (unit, position), in typed arrays: 8 bytes a row. */
const NO_UNITS = new Int32Array(0);
const NO_POSITIONS = new Uint32Array(0);
const CAPACITY_FIRST = 16;
/** A single position, as most transactions have: a view of an array costs more than all else about it. */
const single = new Uint32Array(1);

export class RowPlaces {
  /** Of the first `length` places; later ones are room. They are others after a `push`. */
  units = NO_UNITS;
  positions = NO_POSITIONS;
  length = 0;

  push(unit: number, position: number): void {
    if (this.length === this.units.length) this.#grow();
    this.units[this.length] = unit;
    this.positions[this.length++] = position;
  }

  truncate(length: number): void {
    this.length = length;
  }

  has(unit: number): boolean {
    const at = this.units.indexOf(unit);
    return at >= 0 && at < this.length;
  }

  /** Neighbours of one unit together, of places [start, end): a statement finds its rows unit by unit. `take` gets positions that it must copy. */
  forRuns(take: (unit: number, positions: Uint32Array) => void, start = 0, end = this.length): void {
    const { units, positions } = this;
    for (let from = start, to = start; from < end; from = to) {
      const unit = units[from]!;
      while (to < end && units[to] === unit) to++;
      if (to - from === 1) {
        single[0] = positions[from]!;
        take(unit, single);
      } else take(unit, positions.subarray(from, to));
    }
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_FIRST, this.length * 2);
    const units = new Int32Array(capacity);
    const positions = new Uint32Array(capacity);
    units.set(this.units);
    positions.set(this.positions);
    this.units = units;
    this.positions = positions;
  }
}
