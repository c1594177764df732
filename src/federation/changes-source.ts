/**
 * What the log says of a table, as rows for DuckDB (arka.changes): read on this thread from the log's own files, a window
 * at a time, in the order of the LSNs.
 *
 * - A row is one operation and has its LSN. A key that a transaction deleted and inserted is one `update`, at the LSN of the
 *   new row; the delete is not shown. A `delete` shows what names its row: the key, without a key all of it.
 * - TRUNCATE is one `truncate` without columns, before what its transaction inserted.
 * - Columns are found by field id: rows that were logged before a column was there have NULL in it.
 * - Which keys were deleted and inserted is found group by group (KEYS_MAX), reading the rest of the transaction once for
 *   each: memory does not follow its size.
 */
import duckdb from '@duckdb/node-bindings';
import type { ChangesScan } from '../storage/scan-spec.ts';
import { openNodeDisk } from '../storage/log/log-disk.ts';
import { ReadPlaces, TransactionReader, type LoggedTransaction } from '../storage/log/log-transactions.ts';
import { decodeFrame, type Section } from '../storage/log/section-reader.ts';
import { hashKey, KeyTable } from '../storage/memory/key-table.ts';
import { keyEncoder } from '../storage/memory/key-encoder.ts';
import type { Lsn, TableDef } from '../table-def.ts';
import type { ColumnVector, Physical } from '../types/column-vector.ts';
import { widened } from '../types/widen-vector.ts';
import { physicalOf } from '../types/pg-type.ts';
import { changesBuilder, type Change, type ChangeRun } from './changes-builder.ts';
import { CHUNK_ROWS, type RowSource } from './row-source.ts';
import type { StringMode } from './vector-builder.ts';

/** Keys looked for at once, and bytes of the frames that they stand in. */
const KEYS_MAX = 2 ** 18;
const GROUP_BYTES_MAX = 2 ** 23;

const places = new ReadPlaces();

/** The columns of `def` are those of a change, with negative field ids, and the table's. */
export function changesSource(def: TableDef, scan: ChangesScan, mode: StringMode): RowSource {
  const builder = changesBuilder(def, scan.key);
  return {
    rows: scan.to - scan.since, // at most
    columns: builder.columns.map((type, i) => ({ name: `c${i}`, type })),
    open: (projection) => {
      const runs = changeRuns(def, scan);
      const fill = builder.open(projection, mode);
      let run: ChangeRun | null = null;
      let done = 0;
      const take = (): ChangeRun | null => {
        if (run !== null && done < run.count) return run;
        const next = runs.next();
        run = next.done === true ? null : next.value;
        done = 0;
        return run;
      };
      return (chunk) => {
        let rows = 0;
        fill.reset();
        for (let each = take(); each !== null && rows < CHUNK_ROWS; each = take()) {
          const added = fill.append(each, done, Math.min(each.count - done, CHUNK_ROWS - rows), rows);
          if (added === 0) break;
          done += added;
          rows += added;
        }
        fill.flush((i) => duckdb.data_chunk_get_vector(chunk, i), rows);
        return rows;
      };
    },
  };
}

/** A section of the table in a transaction, with the LSN of its first row. */
interface Placed {
  readonly section: Section;
  readonly lsn: Lsn;
  /** Of the frame that it stands in. */
  readonly bytes: number;
}

/** @param keysMax keys looked for at once */
export function* changeRuns(def: TableDef, scan: ChangesScan, keysMax = KEYS_MAX): IterableIterator<ChangeRun> {
  const reader = new TransactionReader(openNodeDisk(scan.log.dir), scan.log, scan.since, scan.to, places);
  const uuid = Buffer.from(def.uuid.replaceAll('-', ''), 'hex');
  try {
    for (let transaction = reader.next(); transaction !== null; transaction = reader.next())
      yield* transactionRuns(transaction, def, scan, uuid, keysMax);
  } finally {
    reader.close();
  }
}

function* transactionRuns(
  transaction: LoggedTransaction,
  def: TableDef,
  scan: ChangesScan,
  uuid: Uint8Array,
  keysMax: number,
): IterableIterator<ChangeRun> {
  const has = { insert: false, delete: false };
  let truncated: Placed | null = null;
  for (const each of sectionsOf(transaction, uuid, def.uuid))
    if (each.section.kind !== 'truncate') has[each.section.kind] = true;
    else truncated ??= each;
  if (truncated !== null) {
    // What was deleted before it has gone with it. The rest of its section are files.
    has.delete = false;
    if (truncated.lsn > scan.since) yield truncationRun(transaction, truncated);
  }
  const pairs = has.insert && has.delete && scan.keyed;
  for (const kind of ['delete', 'insert'] as const) {
    if (!has[kind]) continue;
    const all = filtered(sectionsOf(transaction, uuid, def.uuid), kind);
    if (!pairs) {
      for (const each of all) yield* runsOf(transaction, each, scan.since, () => kind);
      continue;
    }
    const other = kind === 'delete' ? 'insert' : 'delete';
    const changed: Change | null = kind === 'delete' ? null : 'update';
    for (const group of groupsOf(all, keysMax)) {
      const keys = new KeyGroup(def, scan.key, group);
      keys.mark(filtered(sectionsOf(transaction, uuid, def.uuid), other));
      for (const each of group)
        yield* runsOf(transaction, each, scan.since, (row) => (keys.isMarked(each.section, row) ? changed : kind));
    }
  }
}

function truncationRun({ lastLsn, time }: LoggedTransaction, { section, lsn }: Placed): ChangeRun {
  return { section, from: 0, count: 1, change: 'truncate', lsn, commitLsn: lastLsn, time };
}

function* sectionsOf(transaction: LoggedTransaction, uuid: Uint8Array, tableUuid: string): IterableIterator<Placed> {
  for (const { firstLsn, payload } of transaction.frames()) {
    if (!mayMention(payload, uuid)) continue;
    let lsn = firstLsn;
    for (const section of decodeFrame(payload)) {
      if (section.tableUuid === tableUuid && section.rows > 0) yield { section, lsn, bytes: payload.length };
      lsn += section.rows;
    }
  }
}

/** False: the frame has one section, and that is another table's. Most frames do. */
function mayMention(payload: Uint8Array, uuid: Uint8Array): boolean {
  if (payload[0] !== 1 || payload[1] !== 0) return payload.length > 8;
  for (let i = 0; i < 16; i++) if (payload[8 + i] !== uuid[i]) return false;
  return true;
}

function* filtered(sections: Iterable<Placed>, kind: Section['kind']): IterableIterator<Placed> {
  for (const each of sections) if (each.section.kind === kind) yield each;
}

function* groupsOf(sections: Iterable<Placed>, keysMax: number): IterableIterator<readonly Placed[]> {
  let group: Placed[] = [];
  let rows = 0;
  let bytes = 0;
  for (const each of sections) {
    group.push(each);
    rows += each.section.rows;
    bytes += each.bytes;
    if (rows < keysMax && bytes < GROUP_BYTES_MAX) continue;
    yield group;
    group = [];
    rows = 0;
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

/** Rows of a section in runs of one kind of change; null: not shown. Those up to `since` were seen before. */
function* runsOf(
  { lastLsn, time }: LoggedTransaction,
  { section, lsn }: Placed,
  since: Lsn,
  changeOf: (row: number) => Change | null,
): IterableIterator<ChangeRun> {
  let from = Math.max(0, since + 1 - lsn);
  while (from < section.rows) {
    const change = changeOf(from);
    let end = from + 1;
    while (end < section.rows && changeOf(end) === change) end++;
    if (change !== null) yield { section, from, count: end - from, change, lsn: lsn + from, commitLsn: lastLsn, time };
    from = end;
  }
}

const secret = crypto.getRandomValues(new Int32Array(4));
const key = new Int32Array(4);

/** The keys of some rows of a transaction, and which of them its other rows have, too. */
class KeyGroup {
  readonly #table = new KeyTable(secret[0]!);
  readonly #encode: ReturnType<typeof keyEncoder>;
  readonly #fields: readonly number[];
  readonly #physicals: readonly Physical[];

  constructor(def: TableDef, fields: readonly number[], rows: Iterable<Placed>) {
    this.#fields = fields;
    const types = fields.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!.type);
    this.#physicals = types.map(physicalOf);
    this.#encode = keyEncoder(this.#physicals, secret);
    for (const { section } of rows)
      this.#each(section, (hash) => {
        this.#table.claim(key, hash, 1, 0);
      });
  }

  mark(rows: Iterable<Placed>): void {
    for (const { section } of rows)
      this.#each(section, (hash) => {
        if (this.#table.find(key, hash)) this.#table.put(1);
      });
  }

  isMarked(section: Section, row: number): boolean {
    this.#encode(this.#vectors(section), row, key);
    return this.#table.find(key, hashKey(key, secret[0]!)) && this.#table.b === 1;
  }

  #each(section: Section, visit: (hash: number) => void): void {
    const vectors = this.#vectors(section);
    for (let row = 0; row < section.rows; row++) {
      this.#encode(vectors, row, key);
      visit(hashKey(key, secret[0]!));
    }
  }

  #last: { readonly section: Section; readonly vectors: readonly ColumnVector[] } | null = null;

  #vectors(section: Section): readonly ColumnVector[] {
    if (this.#last?.section !== section) {
      const vectors = this.#fields.map((fieldId, i) =>
        widened(section.vectors[section.fieldIds.indexOf(fieldId)]!, this.#physicals[i]!, section.rows),
      );
      this.#last = { section, vectors };
    }
    return this.#last.vectors;
  }
}
