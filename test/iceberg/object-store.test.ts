import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { registerObjectStoreTests } from './object-store-suite.ts';
import { temporary } from './harness.ts';

registerObjectStoreTests('local', async () => {
  const dir = temporary();
  return {
    store: localStore(),
    root: `file://${dir}/wh`,
    localFile: (bytes) => {
      const path = join(dir, 'source');
      writeFileSync(path, bytes);
      return { path, remove: () => rmSync(path) };
    },
  };
});
