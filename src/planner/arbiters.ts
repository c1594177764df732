/** What a row that INSERT … ON CONFLICT proposes may be in conflict with: the key, and UNIQUE constraints or indexes by their slots. */
export interface Arbiters {
  readonly key: boolean;
  readonly slots: readonly number[];
}
