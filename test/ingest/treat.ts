/** What `arka doctor` says and does of a test's data directory. */
import { loadConfig } from '../../src/config.ts';
import { doctor, type Treatment } from '../../src/doctor.ts';

export function treat(dataDir: string, treatment: Treatment | null): Promise<readonly string[]> {
  const flags = new Map([['server.data_dir', { value: dataDir, flag: '--data-dir' }]]);
  return doctor(loadConfig({ flags, file: null }, {}, dataDir), treatment);
}
