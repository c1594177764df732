/** A value's wire format: 0 text, 1 binary. */
export type Format = 0 | 1;

/** One column of a RowDescription; the format is chosen when a portal is bound. */
export interface ResultColumn {
  readonly name: string;
  readonly tableOid: number;
  readonly attnum: number;
  readonly typeOid: number;
  readonly typlen: number;
  readonly typmod: number;
}
