/** A value's wire format: 0 text, 1 binary. */
export type Format = 0 | 1;

export function sameFormats(one: readonly Format[], other: readonly Format[]): boolean {
  if (one === other) return true;
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/** One column of a RowDescription; the format is chosen when a portal is bound. */
export interface ResultColumn {
  readonly name: string;
  readonly tableOid: number;
  readonly attnum: number;
  readonly typeOid: number;
  readonly typlen: number;
  readonly typmod: number;
}
