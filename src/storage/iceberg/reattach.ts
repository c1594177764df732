/**
 * The end of a detached table's state, by someone's decision (C6): the catalog gets the metadata file back that was committed
 * last, or what it shows is accepted. Either way its properties decide again from then on (C1).
 */
import { join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import type { Lake } from './lake.ts';
import type { CommitRequest, CommitResult, Detached } from './lake-api.ts';
import { uuidText } from './metadata.ts';

export async function reattach(
  lake: Lake,
  request: { readonly tableUuid: string; readonly how: 'repoint' | 'accept' },
  commit: (lake: Lake, request: CommitRequest) => Promise<CommitResult>,
): Promise<void> {
  const { tableUuid: uuid, how } = request;
  const detached = lake.detached.get(uuid);
  const log = lake.settings.log ?? null;
  if (detached === undefined || log === null)
    throw new SqlError(SqlState.objectNotInPrerequisiteState, `table ${uuid} is not detached`);
  if (how === 'repoint') await repoint(lake, uuid, detached);
  else {
    // What the manifest has is of the history that is given up; nobody but a person can say what is still wanted of it.
    await lake.flush.discard(uuid, join(lake.settings.dataDir, 'lost', `${uuid}-${uuidText().slice(0, 8)}`));
    const known = lake.known.get(uuid)!;
    known.logId =
      (await lake.reader.metadata(lake.catalog.find(known.schema, known.name)!)).properties?.['arka.log-id'] ?? null;
    const { lsn, snapshotId, metadataLocation } = detached.last;
    // What was committed since is given up: the commit that says so is not held against it.
    lake.flush.saw(uuid, { logId: log.logId, lsn: 0, snapshotId, metadataLocation });
    const nothing = { segments: [], deletes: [], removedDeletes: [] };
    await commit(lake, { tableUuid: uuid, logId: log.logId, lsn, ...nothing, trigger: 'reattach' });
  }
  lake.detached.delete(uuid);
}

async function repoint(lake: Lake, uuid: string, { reason, last }: Detached): Promise<void> {
  const { schema, name } = lake.known.get(uuid)!;
  const refuse = (why: string): SqlError =>
    new SqlError(SqlState.objectNotInPrerequisiteState, `could not reattach table "${schema}"."${name}": ${why}`, {
      hint: 'arka doctor --accept takes the table as the catalog shows it.',
    });
  if (reason !== 'catalog' || last.metadataLocation === '') throw refuse('there is no newer metadata file');
  const metadata = await lake.reader.metadata(last.metadataLocation).catch((error: unknown) => {
    throw refuse(`metadata file "${last.metadataLocation}" cannot be read: ${(error as Error).message}`);
  });
  if (metadata['table-uuid'] !== uuid) throw refuse(`"${last.metadataLocation}" is of another table`);
  const current = lake.catalog.find(schema, name);
  if (current === null || !lake.catalog.swap(schema, name, current, last.metadataLocation))
    throw refuse('the catalog has changed meanwhile');
}
