/**
 * The views that Arka fills: PGlite knows their columns, main knows their rows. `sql/` defines them; rows go in as
 * arrays of text values (null: NULL) in the order of `columns`, before each statement that reads the view.
 */
export interface StubView {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
}

export const STUB_VIEWS: readonly StubView[] = [
  {
    schema: 'arka',
    name: 'tiers',
    columns: [
      'schema_name',
      'table_name',
      'tier',
      'units',
      'rows',
      'bytes',
      'min_time',
      'max_time',
      'min_lsn',
      'max_lsn',
    ],
  },
  {
    schema: 'arka',
    name: 'tables',
    columns: [
      'schema_name',
      'table_name',
      'state',
      'sqlstate',
      'message',
      'hint',
      'chore',
      'failures',
      'since',
      'committed_lsn',
      'flushed_lsn',
      'log_kept_from',
    ],
  },
  {
    schema: 'arka',
    name: 'units',
    columns: [
      'schema_name',
      'table_name',
      'tier',
      'unit',
      'partition',
      'purposes',
      'rows',
      'bytes',
      'deleted_rows',
      'pending_deletes',
      'pins',
      'min_time',
      'max_time',
      'min_lsn',
      'max_lsn',
      'path',
    ],
  },
  {
    schema: 'arka',
    name: 'memory',
    columns: [
      'used_bytes',
      'limit_bytes',
      'rss_bytes',
      'zone',
      'delay_ms',
      'slab_bytes',
      'index_bytes',
      'queue_bytes',
      'zone_reason',
      'budget_bytes',
      'slab_budget_bytes',
      'slice_bytes',
      'delete_bytes',
      'retired_bytes',
      'transaction_bytes',
      'pins',
      'session_bytes',
      'engine_bytes',
      'footer_bytes',
      'catalog_bytes',
      'heap_bytes',
      'page_bytes',
      'file_bytes',
      'warm_bytes',
      'pool_bytes',
      'rest_bytes',
    ],
  },
  {
    schema: 'arka',
    name: 'disk',
    columns: [
      'used_bytes',
      'limit_bytes',
      'log_bytes',
      'staged_bytes',
      'delta_bytes',
      'index_bytes',
      'spill_bytes',
      'cache_bytes',
      'rest_bytes',
      'cached_files',
      'reserved_bytes',
    ],
  },
  {
    schema: 'arka',
    name: 'wal',
    columns: [
      'last_lsn',
      'durable_lsn',
      'committed_lsn',
      'segments',
      'bytes',
      'log_id',
      'zone',
      'bytes_max',
      'first_lsn',
    ],
  },
  {
    schema: 'arka',
    name: 'commits',
    columns: [
      'committed_at',
      'schema_name',
      'table_name',
      'snapshot_id',
      'lsn',
      'files',
      'rows',
      'deletes',
      'bytes',
      'duration_ms',
      'trigger',
      'retries',
      'warning',
    ],
  },
  {
    schema: 'arka',
    name: 'flushes',
    columns: ['flushed_at', 'schema_name', 'table_name', 'lsn', 'rows', 'bytes', 'duration_ms', 'trigger'],
  },
  {
    schema: 'arka',
    name: 'unhandled',
    columns: ['query', 'sqlstate', 'message', 'count', 'first_at', 'last_at'],
  },
  {
    schema: 'pg_catalog',
    name: 'pg_stat_activity',
    columns: [
      'datid',
      'datname',
      'pid',
      'leader_pid',
      'usesysid',
      'usename',
      'application_name',
      'client_addr',
      'client_hostname',
      'client_port',
      'backend_start',
      'xact_start',
      'query_start',
      'state_change',
      'wait_event_type',
      'wait_event',
      'state',
      'backend_xid',
      'backend_xmin',
      'query_id',
      'query',
      'backend_type',
    ],
  },
  { schema: 'arka', name: 'settings', columns: ['name', 'setting', 'shown', 'source', 'reset_val'] },
  { schema: 'arka', name: 'listening', columns: ['channel'] },
  {
    schema: 'pg_catalog',
    name: 'pg_prepared_statements',
    columns: [
      'name',
      'statement',
      'prepare_time',
      'parameter_types',
      'result_types',
      'from_sql',
      'generic_plans',
      'custom_plans',
    ],
  },
  {
    schema: 'pg_catalog',
    name: 'pg_cursors',
    columns: ['name', 'statement', 'is_holdable', 'is_binary', 'is_scrollable', 'creation_time'],
  },
  {
    schema: 'pg_catalog',
    name: 'pg_locks',
    columns: [
      'locktype',
      'database',
      'relation',
      'page',
      'tuple',
      'virtualxid',
      'transactionid',
      'classid',
      'objid',
      'objsubid',
      'virtualtransaction',
      'pid',
      'mode',
      'granted',
      'fastpath',
      'waitstart',
    ],
  },
];

export function stubView(schema: string, name: string): StubView | undefined {
  return STUB_VIEWS.find((view) => view.schema === schema && view.name === name);
}

/** The setting that holds a view's rows during one transaction. */
export function stubSetting(view: StubView): string {
  return `arka_rows.${view.name}`;
}

/** The rows as `json_to_recordset` reads them; each value goes through its column type's input function. */
export function stubJson(view: StubView, rows: readonly (readonly (string | null)[])[]): string {
  return JSON.stringify(
    rows.map((row) => Object.fromEntries(view.columns.map((column, i) => [column, row[i] ?? null]))),
  );
}
