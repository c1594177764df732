/** Where rows are, (unit, position) after (unit, position), in typed arrays: 8 bytes a row. */
const NO_UNITS = new Int32Array(0);
const NO_POSITIONS = new Uint32Array(0);
const CAPACITY_FIRST = 16;

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

  clone(): RowPlaces {
    const copy = new RowPlaces();
    copy.units = this.units.slice(0, this.length);
    copy.positions = this.positions.slice(0, this.length);
    copy.length = this.length;
    return copy;
  }

  has(unit: number): boolean {
    const at = this.units.indexOf(unit);
    return at >= 0 && at < this.length;
  }

  /** Neighbours of one unit together: a statement finds its rows unit by unit. */
  forRuns(take: (unit: number, positions: Uint32Array) => void): void {
    const { units, positions, length } = this;
    for (let from = 0, to = 0; from < length; from = to) {
      const unit = units[from]!;
      while (to < length && units[to] === unit) to++;
      take(unit, positions.subarray(from, to));
    }
  }

  /** Of each unit its positions, in their order. */
  byUnit(): ReadonlyMap<number, Uint32Array> {
    const counts = new Map<number, number>();
    this.forRuns((unit, { length }) => counts.set(unit, (counts.get(unit) ?? 0) + length));
    const all = new Map<number, Uint32Array>();
    for (const [unit, count] of counts) all.set(unit, new Uint32Array(count));
    const filled = new Map<number, number>();
    this.forRuns((unit, positions) => {
      const at = filled.get(unit) ?? 0;
      all.get(unit)!.set(positions, at);
      filled.set(unit, at + positions.length);
    });
    return all;
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
