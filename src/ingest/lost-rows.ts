/**
 * Rows in the log whose table is gone from the catalog, not by this server (M-4): they are replayed into memory as if it
 * were there, and written as Parquet to DATA_DIR/lost/UUID. A table that this server dropped itself is not in the newest
 * checkpoint frame, and its frames stand before it: those are skipped.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { LostTable } from '../storage/iceberg/lake-api.ts';
import type { Checkpoint } from '../storage/log/checkpoint.ts';
import type { Table } from '../storage/table.ts';
import { unknownDef, type Lsn, type TableDef } from '../table-def.ts';
import type { Physical } from '../types/column-vector.ts';
import { numericTypmod, Oid } from '../types/pg-type.ts';
import type { Database } from './database.ts';
import type { Section } from '../storage/log/section-reader.ts';
import { tellLost } from './lost-table.ts';
import type { UnclaimedRows } from './unclaimed-rows.ts';

/** What a column was is unknown when the definition is gone as well: the type of the same bytes. */
const TYPE_OF: Readonly<Record<Physical, { readonly oid: number; readonly typmod: number }>> = {
  bool: { oid: Oid.bool, typmod: -1 },
  int32: { oid: Oid.int4, typmod: -1 },
  int64: { oid: Oid.int8, typmod: -1 },
  int128: { oid: Oid.numeric, typmod: numericTypmod(38, 0) },
  float32: { oid: Oid.float4, typmod: -1 },
  float64: { oid: Oid.float8, typmod: -1 },
  fixed16: { oid: Oid.uuid, typmod: -1 },
  bytes: { oid: Oid.bytea, typmod: -1 },
};

interface Lost {
  readonly known: LostTable | null;
  readonly folder: string;
  table: Table | null;
  rows: number;
  files: number;
  lsn: Lsn;
}

export class LostRows {
  readonly #database: Database;
  readonly #checkpoint: Checkpoint | null;
  readonly #lostDir: string;
  readonly #unclaimed: UnclaimedRows | null;
  readonly #lost = new Map<string, Lost>();

  /** @param unclaimed not null: which tables are gone is not known yet, and their rows stay in the log */
  constructor(
    database: Database,
    tables: readonly LostTable[],
    checkpoint: Checkpoint | null,
    lostDir: string,
    unclaimed: UnclaimedRows | null,
  ) {
    this.#database = database;
    this.#unclaimed = unclaimed;
    this.#checkpoint = checkpoint;
    this.#lostDir = lostDir;
    for (const known of tables) this.#add(known.uuid, known);
  }

  #add(uuid: string, known: LostTable | null): Lost {
    const lost = {
      known,
      folder: known?.folder ?? join(this.#lostDir, uuid),
      table: null,
      rows: known?.rows ?? 0,
      files: known?.files ?? 0,
      lsn: known?.flushedLsn ?? 0,
    };
    this.#lost.set(uuid, lost);
    return lost;
  }

  /** The table that takes a section's rows, null when nobody misses them. @param firstLsn of its frame, `lsn` the last */
  tableOf(section: Section, firstLsn: Lsn, lsn: Lsn): Table | null {
    const uuid = section.tableUuid;
    const entry = this.#checkpoint?.tables.find((table) => table.uuid === uuid);
    if (this.#checkpoint !== null && entry === undefined && lsn <= this.#checkpoint.lsn) return null;
    if (this.#unclaimed !== null) {
      if (lsn > (entry?.committedLsn ?? 0)) this.#unclaimed.note(uuid, firstLsn, lsn);
      return null;
    }
    const lost = this.#lost.get(uuid) ?? this.#add(uuid, null);
    if (lsn <= Math.max(lost.known?.flushedLsn ?? 0, entry?.committedLsn ?? 0)) return null;
    if (section.kind === 'truncate') return lost.table; // it has no columns
    lost.table ??= this.#database.shadowTable(lost.known?.def ?? derivedDef(section));
    lost.lsn = lsn;
    return lost.table;
  }

  /** Writes what has come so far, and gives its memory back. */
  async spill(): Promise<void> {
    for (const lost of this.#lost.values()) {
      const { table } = lost;
      if (table === null) continue;
      lost.table = null;
      await this.#database.lake.rescue(table.def.uuid); // makes the folder
      const { rows, files } = await writeLost(this.#database, table, lost.folder);
      lost.rows += rows;
      lost.files += files;
      table.drop();
    }
  }

  /** Writes the rest, and says for each table where its rows are. */
  async finish(): Promise<void> {
    await this.spill();
    for (const [uuid, { known, folder, rows, files, lsn }] of this.#lost) {
      if (rows === 0 && files === 0) continue;
      const def = known?.def ?? null;
      tellLost(this.#database, def === null ? `.${uuid}` : `${def.schema}.${def.name}`, { folder, rows, files, lsn });
    }
  }
}

/** The rows of a table that are in memory alone, as files of a folder; how many. */
export async function writeLost(
  { engine }: Pick<Database, 'engine'>,
  table: Table,
  folder: string,
): Promise<{ readonly rows: number; readonly files: number }> {
  let rows = 0;
  let files = 0;
  for (const slice of table.slices()) {
    if (slice.deletes.length >= slice.rows) continue;
    const path = join(folder, `${randomUUID()}.parquet`);
    const memory = [slice.scan(slice.rows, slice.deletes.length, table.fieldIds)];
    const written = await engine.writeParquet({ def: table.def, memory, files: [], path });
    if (written === null) continue;
    rows += written.rows;
    files++;
  }
  return { rows, files };
}

function derivedDef(section: Section): TableDef {
  return {
    ...unknownDef(section.tableUuid, '', section.tableUuid),
    schemaId: section.schemaId,
    columns: section.fieldIds.map((fieldId, i) => ({
      name: `field_${fieldId}`,
      fieldId,
      attnum: i + 1,
      type: TYPE_OF[section.vectors[i]!.physical],
      notNull: false,
      default: null,
    })),
    key: section.kind === 'delete' ? section.fieldIds : [],
  };
}
