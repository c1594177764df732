/**
 * The object stores by the scheme of a location: a table may lie elsewhere than the warehouse. S3's client is loaded at
 * its first use: a local warehouse does not pay for it.
 */
import type { Clock } from '../../clock.ts';
import { localStore } from './local-store.ts';
import type { ObjectStore } from './object-store.ts';
import { isRemote } from './paths.ts';
import type { S3Settings } from './s3-client.ts';

export function objectStores(s3: S3Settings, clock: Clock, random: () => number): ObjectStore {
  const local = localStore();
  let remote: Promise<ObjectStore> | null = null;
  const connect = async (): Promise<ObjectStore> => {
    const { connectS3 } = await import('./s3-client.ts');
    const { s3Store } = await import('./s3-store.ts');
    return s3Store(connectS3(s3, clock, random));
  };
  const of = (location: string): Promise<ObjectStore> =>
    isRemote(location) ? (remote ??= connect()) : Promise.resolve(local);
  return {
    get: async (location, start, end, version) => (await of(location)).get(location, start, end, version),
    read: async function* (location, signal) {
      yield* (await of(location)).read(location, signal);
    },
    head: async (location) => (await of(location)).head(location),
    put: async (location, bytes) => (await of(location)).put(location, bytes),
    putAll: async (objects) => {
      const far = objects.filter(({ location }) => isRemote(location));
      const near = objects.filter(({ location }) => !isRemote(location));
      if (near.length > 0) await local.putAll(near);
      if (far.length > 0) await (await of(far[0]!.location)).putAll(far);
    },
    putIfAbsent: async (location, bytes) => (await of(location)).putIfAbsent(location, bytes),
    putFile: async (location, path) => (await of(location)).putFile(location, path),
    list: async function* (prefix) {
      yield* (await of(prefix)).list(prefix);
    },
    delete: async (locations) => {
      const far = locations.filter(isRemote);
      const near = locations.filter((location) => !isRemote(location));
      if (near.length > 0) await local.delete(near);
      if (far.length > 0) await (await of(far[0]!)).delete(far);
    },
    deleteBelow: async (prefix) => (await of(prefix)).deleteBelow(prefix),
  };
}
