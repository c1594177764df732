/** Placeholder until the parts are put together: the command line has its typed call, and says so when run. */
import type { Config } from './config.ts';
import { notSupported } from './errors.ts';

export interface ArkaServer {
  /** Where clients connect, such as `postgresql://arka@127.0.0.1:5433/arka`. */
  readonly url: string;
  /** Stops accepting, ends sessions, closes all tiers. Idempotent. */
  close(): Promise<void>;
}

export async function serve(_config: Config): Promise<ArkaServer> {
  throw notSupported('serving');
}
