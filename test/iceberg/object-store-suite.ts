/** The laws every object store keeps (O1–O4 as far as a live process can see them). */
import { describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  readonly root: string;
  localFile(bytes: Uint8Array): { readonly path: string; remove(): void };
}

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

export function registerObjectStoreTests(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the ${name} object store`, () => {
    const bytes = Uint8Array.of(1, 2, 3, 4, 5);

    test('gives back what was put, whole and by range; a put replaces', async () => {
      const { store, root } = await open();
      await store.put(`${root}/a/b/x y%20=1`, Uint8Array.of(9));
      await store.put(`${root}/a/b/x y%20=1`, bytes);
      expect(await store.get(`${root}/a/b/x y%20=1`)).toEqual(bytes);
      expect(await store.get(`${root}/a/b/x y%20=1`, 1, 3)).toEqual(Uint8Array.of(2, 3));
      expect(await store.head(`${root}/a/b/x y%20=1`)).toMatchObject({ location: `${root}/a/b/x y%20=1`, bytes: 5 });
    });

    test('several are put at once, into one folder and another', async () => {
      const { store, root } = await open();
      const objects = Array.from({ length: 20 }, (_, i) => ({
        location: `${root}/many/${i % 3}/${i}`,
        bytes: Uint8Array.of(i),
      }));
      await store.putAll(objects);
      for (const { location, bytes: put } of objects) expect(await store.get(location)).toEqual(put);
      await store.putAll([]);
    });

    test('a missing object has no head and is 58030 to get', async () => {
      const { store, root } = await open();
      expect(await store.head(`${root}/none`)).toBeNull();
      await expect(store.get(`${root}/none`)).rejects.toMatchObject({ code: '58030' });
    });

    test('of ten that put if absent one wins, and its bytes stay', async () => {
      const { store, root } = await open();
      const won = await Promise.all(
        Array.from({ length: 10 }, (_, i) => store.putIfAbsent(`${root}/x`, Uint8Array.of(i))),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await store.get(`${root}/x`)).toEqual(Uint8Array.of(won.indexOf(true)));
    });

    test('a file that was put outlives its source, and may be put twice', async () => {
      const { store, root, localFile } = await open();
      const source = localFile(bytes);
      await store.putFile(`${root}/deep/er/f`, source.path);
      await store.putFile(`${root}/deep/er/f`, source.path);
      source.remove();
      expect(await store.get(`${root}/deep/er/f`)).toEqual(bytes);
      await expect(store.putFile(`${root}/g`, source.path)).rejects.toMatchObject({ code: '58030' });
    });

    test('reads an object of several megabytes in pieces, and stops when it is told to', async () => {
      const { store, root, localFile } = await open();
      const large = Uint8Array.from({ length: 3 * 2 ** 20 }, (_, i) => (i * 31) ^ (i >> 8));
      await store.putFile(`${root}/large`, localFile(large).path);
      expect(await whole(store.read(`${root}/large`))).toEqual(Buffer.from(large));
      await expect(whole(store.read(`${root}/none`))).rejects.toMatchObject({ code: '58030' });
      const abort = new AbortController();
      const stopped = (async () => {
        for await (const chunk of store.read(`${root}/large`, abort.signal)) if (chunk.length > 0) abort.abort();
      })();
      await expect(stopped).rejects.toThrow(/abort/i);
    });

    test('an empty object is there, and a range behind the end is empty', async () => {
      const { store, root, localFile } = await open();
      await store.put(`${root}/empty`, new Uint8Array());
      await store.putFile(`${root}/empty file`, localFile(new Uint8Array()).path);
      for (const name of ['empty', 'empty file']) {
        expect(await store.get(`${root}/${name}`)).toEqual(new Uint8Array());
        expect(await store.head(`${root}/${name}`)).toMatchObject({ bytes: 0 });
      }
      await store.put(`${root}/five`, bytes);
      expect(await store.get(`${root}/five`, 5, 9)).toEqual(new Uint8Array());
      expect(await store.get(`${root}/five`, 3, 9)).toEqual(Uint8Array.of(4, 5));
    });

    test('deletes all below a folder, and nothing beside it', async () => {
      const { store, root } = await open();
      for (const name of ['t/a', 't/m/b', 't2/c']) await store.put(`${root}/${name}`, bytes);
      await store.deleteBelow(`${root}/t`);
      await store.deleteBelow(`${root}/nothing`);
      expect(await store.head(`${root}/t/m/b`)).toBeNull();
      expect(await store.head(`${root}/t2/c`)).not.toBeNull();
    });

    test('lists what is below a folder, and deletes what there is', async () => {
      const { store, root } = await open();
      await store.put(`${root}/l/a`, bytes);
      await store.put(`${root}/l/m/b`, bytes);
      const listed = async (folder = `${root}/l`): Promise<string[]> => {
        const locations: string[] = [];
        for await (const object of store.list(folder)) locations.push(object.location);
        return locations.toSorted();
      };
      expect(await listed()).toEqual([`${root}/l/a`, `${root}/l/m/b`]);
      await store.delete([`${root}/l/a`, `${root}/l/none`]);
      expect(await listed()).toEqual([`${root}/l/m/b`]);
      expect(await listed(`${root}/nothing`)).toEqual([]);
    });
  });
}
