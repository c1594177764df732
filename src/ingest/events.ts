/** What `arka.flushes` and `arka.commits` show: moves of rows, newest last. */
import type { Lsn } from '../table-def.ts';

export interface FlushEvent {
  readonly table: string;
  readonly lsn: Lsn;
  readonly rows: number;
  readonly bytes: number;
  readonly durationMs: number;
  /** When it ended, as ISO 8601. */
  readonly at: string;
  readonly trigger: string;
}
export interface CommitEvent extends FlushEvent {
  /** Null: nothing was committed, `warning` says what happened. */
  readonly snapshotId: bigint | null;
  readonly warning?: string;
  readonly files: number;
  readonly deletes: number;
  readonly retries: number;
}
/** As many events as arka.flushes and arka.commits show. */
const EVENTS_MAX = 1000;

export function record<E>(events: E[], event: E): void {
  events.push(event);
  if (events.length > EVENTS_MAX) events.splice(0, events.length - EVENTS_MAX);
}
