/**
 * How many rows of a table were inserted, updated and deleted since the server's start, by what transactions have committed.
 * An UPDATE is a deletion and an insertion; of a transaction as many of both as there are of the fewer count as updates.
 */
export class RowCounts {
  inserted = 0;
  updated = 0;
  deleted = 0;

  note(inserted: number, deleted: number): void {
    const updated = Math.min(inserted, deleted);
    this.inserted += inserted - updated;
    this.updated += updated;
    this.deleted += deleted - updated;
  }
}
