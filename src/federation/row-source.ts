/**
 * Rows that this thread gives to DuckDB: one table function, `arka_rows(id)`, over a registry of sources (memory units,
 * delete positions, delete bitmaps, key rows).
 *
 * - Column 0 of the function is a byte that nobody fills: `count(*)` asks for column 0 and shall cost nothing.
 * - DuckDB pushes the projection but no filter; it calls back on this thread, from one of its own at a time.
 * - An id lives as long as the statement that names it; the caller removes it when the statement has ended.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant, SqlError } from '../errors.ts';

/** Fills a chunk of at most CHUNK_ROWS rows and says how many; 0 at the end. */
export type NextChunk = (chunk: duckdb.DataChunk) => number;

export interface RowSource {
  readonly columns: readonly { readonly name: string; readonly type: duckdb.LogicalType }[];
  readonly rows: number;
  /** True: in a join DuckDB holds these rows and lets the others pass, whatever filters promise of those. */
  readonly held?: boolean;
  /** Starts a scan that gives `projection` (indexes of `columns`, -1: leave the vector alone) in that order. */
  open(projection: readonly number[]): NextChunk;
}

export const CHUNK_ROWS = 2048;
export const SOURCE_FUNCTION = 'arka_rows';

export interface SourceRegistry {
  readonly sources: Map<number, RowSource>;
  /** What a source has thrown, whole: DuckDB keeps its text alone. */
  readonly failures: WeakMap<RowSource, SqlError>;
  nextId: number;
}

export function sourceRegistry(): SourceRegistry {
  return { sources: new Map(), failures: new WeakMap(), nextId: 1 };
}

/** The SQL that reads it, and the id to forget later. */
export function addSource(registry: SourceRegistry, source: RowSource): { readonly id: number; readonly sql: string } {
  const id = registry.nextId;
  registry.nextId = id >= 2_000_000_000 ? 1 : id + 1;
  invariant(!registry.sources.has(id), 'source ids are not reused while they live');
  registry.sources.set(id, source);
  return { id, sql: `${SOURCE_FUNCTION}(${id})` };
}

/** Why a statement has failed, where one of its sources is the reason. */
export function sourceFailure(registry: SourceRegistry, ids: readonly number[]): SqlError | undefined {
  for (const id of ids) {
    const source = registry.sources.get(id);
    const failure = source === undefined ? undefined : registry.failures.get(source);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

export function removeSources(registry: SourceRegistry, ids: readonly number[]): void {
  for (const id of ids) registry.sources.delete(id);
}

/** Registers the function in the connection's instance; all its connections see it. */
export function registerSourceFunction(connection: duckdb.Connection, registry: SourceRegistry): void {
  const tableFunction = duckdb.create_table_function();
  duckdb.table_function_set_name(tableFunction, SOURCE_FUNCTION);
  duckdb.table_function_add_parameter(tableFunction, duckdb.create_logical_type(duckdb.Type.INTEGER));
  duckdb.table_function_supports_projection_pushdown(tableFunction, true);
  const noted = <T>(source: RowSource, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof SqlError) registry.failures.set(source, error);
      throw error;
    }
  };
  const unused = duckdb.create_logical_type(duckdb.Type.UTINYINT);
  duckdb.table_function_set_bind(tableFunction, (info) => {
    const source = registry.sources.get(duckdb.get_int32(duckdb.bind_get_parameter(info, 0)));
    invariant(source !== undefined, 'a statement names only live sources');
    duckdb.bind_add_result_column(info, '__none', unused);
    for (const column of source.columns) duckdb.bind_add_result_column(info, column.name, column.type);
    duckdb.bind_set_cardinality(info, source.held === true ? 1 : source.rows, true);
    duckdb.bind_set_bind_data(info, { source });
  });
  duckdb.table_function_set_init(tableFunction, (info) => {
    const { source } = duckdb.init_get_bind_data(info) as { source: RowSource };
    const projection: number[] = [];
    const count = duckdb.init_get_column_count(info);
    for (let i = 0; i < count; i++) projection.push(duckdb.init_get_column_index(info, i) - 1);
    duckdb.init_set_max_threads(info, 1);
    duckdb.init_set_init_data(info, { source, next: noted(source, () => source.open(projection)) });
  });
  duckdb.table_function_set_function(tableFunction, (info, chunk) => {
    const { source, next } = duckdb.function_get_init_data(info) as { source: RowSource; next: NextChunk };
    duckdb.data_chunk_set_size(
      chunk,
      noted(source, () => next(chunk)),
    );
  });
  duckdb.register_table_function(connection, tableFunction);
}
