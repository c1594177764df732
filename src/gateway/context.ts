/** What all sessions of a server share. */
import type { CatalogContents } from '../catalog/catalog-api.ts';
import type { Catalog } from '../catalog/catalog-client.ts';
import type { Clock } from '../clock.ts';
import type { EngineApi } from '../federation/engine-api.ts';
import type { Database } from '../ingest/database.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Rights } from '../rights/rights.ts';
import type { ConstantResults } from './constant-results.ts';
import type { UnhandledLog } from './unhandled.ts';
import type { Remote } from '../rpc.ts';
import type { Turns } from './last-resort.ts';
import type { Peers } from './peers.ts';

export interface ServerContext {
  readonly database: Database;
  readonly engine: Remote<EngineApi>;
  readonly rights: Rights;
  readonly catalog: Catalog & { holding(contents: CatalogContents): Catalog };
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  readonly startedAt: number;
  readonly peers: Peers;
  readonly constants: ConstantResults;
  readonly unhandled?: UnhandledLog;
  /** Most rows that PostgreSQL gets copies of, for statements that take turns. */
  readonly copies: { readonly rowsMax: number; readonly turns: Turns };
  /** After DDL: the catalog learns the definitions. */
  readonly definitionsChanged: () => void;
}

/** What is no definition, transaction or setting. */
export type CarriedOut =
  | 'query'
  | 'insert'
  | 'update'
  | 'delete'
  | 'merge'
  | 'with'
  | 'truncate'
  | 'copyFrom'
  | 'copyTo'
  | 'explain'
  | 'prepare'
  | 'execute'
  | 'declare'
  | 'fetch'
  | 'show'
  | 'checkpoint'
  | 'call'
  | 'vacuum'
  | 'empty';
