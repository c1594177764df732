/**
 * Tables that a transaction has made or truncated, and in which of its subtransactions: COPY … FREEZE is for those of the current one.
 *
 * - F1 As in PostgreSQL (rd_createSubid, rd_newRelfilenodeSubid): what a savepoint's rollback undoes leaves nothing, also where the
 *   table had been truncated before it; what RELEASE ends becomes its parent's.
 */
export class FreshTables {
  /** By uuid, how many savepoints were open then. */
  readonly #made = new Map<string, number>();
  readonly #emptied = new Map<string, number>();

  /** It has truncated tables, which it may have taken back. */
  hasTruncated = false;

  made(uuid: string, savepoints: number): void {
    this.#made.set(uuid, savepoints);
  }

  /** PostgreSQL gives a table no new file where it has one of this subtransaction. */
  truncated(uuid: string, savepoints: number): void {
    this.hasTruncated = true;
    this.#emptied.set(uuid, savepoints);
  }

  has(uuid: string, savepoints: number): boolean {
    return this.#made.get(uuid) === savepoints || this.#emptied.get(uuid) === savepoints;
  }

  releaseTo(savepoints: number): void {
    for (const tables of [this.#made, this.#emptied])
      for (const [uuid, depth] of tables) if (depth > savepoints) tables.set(uuid, savepoints);
  }

  /** @param savepoints those before the one that it goes back to */
  rollbackTo(savepoints: number): void {
    for (const tables of [this.#made, this.#emptied])
      for (const [uuid, depth] of tables) if (depth > savepoints) tables.delete(uuid);
  }
}
