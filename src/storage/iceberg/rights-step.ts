/**
 * Rights that change together with definitions: the file that has them is not the catalog, so the catalog carries them until the
 * file is written, in the transaction that has the definitions.
 *
 * - R1 Definitions and rights are durable at once: what a transaction leaves in the catalog says what the file had before and what
 *   it is to have. A start that finds the former writes the latter.
 * - R2 Nothing of that is left once the file is written: what rights become afterwards is never taken back.
 * - R3 The same note has the transaction's number: where the catalog does not say whether a COMMIT took place, it tells.
 */
import type { Clock } from '../../clock.ts';
import { SqlError, SqlState } from '../../errors.ts';
import { readRoles, rolesSum, writeRoles } from '../disk/roles-file.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

/** What the lake has for it. */
export interface RightsPlace {
  readonly catalog: Pick<SqliteCatalog, 'note' | 'setNote'>;
  readonly settings: { readonly dataDir: string };
}

/** The last transaction of definitions. */
interface Note {
  readonly id: string;
  /** Null: nothing is left to be done. */
  readonly rights: { readonly before: string; readonly after: string } | null;
}

function noteOf({ catalog }: Pick<RightsPlace, 'catalog'>): Note | null {
  const text = catalog.note();
  return text === null ? null : (JSON.parse(text) as Note);
}

/** What a transaction of definitions leaves beside them. @param rights as they are to be; null: they stay */
export async function noteFor(place: RightsPlace, id: string, rights: string | null): Promise<string> {
  const left = noteOf(place)?.rights ?? null;
  const note: Note =
    rights === null
      ? { id, rights: left }
      : { id, rights: { before: rolesSum((await readRoles(place.settings.dataDir)) ?? ''), after: rights } };
  return JSON.stringify(note);
}

/** How long a catalog is asked that does not answer, such as while another client holds its file or a network drive is away. */
const PATIENCE_MS = 60_000;
const HINT =
  'Tables that they were about come back as the catalog has them once it answers; a restart reads all that it has.';
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 5000;

/** R3. @throws {SqlError} 08007 when nobody knows, for a minute */
export async function tookPlace(place: Pick<RightsPlace, 'catalog'>, id: string, clock: Clock): Promise<boolean> {
  const since = clock.monotonic();
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
    try {
      return noteOf(place)?.id === id;
    } catch (cause) {
      if (clock.monotonic() - since >= PATIENCE_MS)
        throw new SqlError(
          SqlState.transactionResolutionUnknown,
          'the catalog did not say whether definitions took place',
          { cause, hint: HINT },
        );
    }
    await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
  }
}

/** Rights as they were stored last; null: they never were. @throws {SqlError} XX001, 58030 */
export async function storedRights(place: RightsPlace): Promise<string | null> {
  const { dataDir } = place.settings;
  const text = await readRoles(dataDir);
  const rights = noteOf(place)?.rights ?? null;
  if (rights === null || rolesSum(text ?? '') !== rights.before) return text;
  await writeRoles(dataDir, rights.after);
  forget(place);
  return rights.after;
}

/** Durable when it resolves. @throws {SqlError} 53100, 58030: then the ones before are there */
export async function storeRights(place: RightsPlace, text: string): Promise<void> {
  const isBefore = noteOf(place)?.rights?.before === rolesSum(text);
  if (isBefore) forget(place);
  await writeRoles(place.settings.dataDir, text);
  if (isBefore) return;
  try {
    forget(place);
  } catch {
    // The file is not the one before: the note says nothing of it.
  }
}

/** R2 */
function forget({ catalog }: RightsPlace): void {
  const note = noteOf({ catalog });
  if (note !== null && note.rights !== null) catalog.setNote(JSON.stringify({ ...note, rights: null } satisfies Note));
}
