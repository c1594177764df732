/**
 * The object store under a warehouse: immutable objects by location.
 *
 * - O1 When a put resolves, the object is whole and durable: bytes, name and folders (C10).
 * - O2 `putIfAbsent` has one winner, whoever else writes.
 * - O3 A reader sees an object whole or not at all.
 * - O4 After `putFile` the object does not depend on the source's name: the source may be deleted.
 */
export interface ObjectInfo {
  readonly location: string;
  readonly bytes: number;
  /** When it was written last, in milliseconds of the Unix epoch. */
  readonly modifiedMs: number;
}

export interface NewObject {
  readonly location: string;
  readonly bytes: Uint8Array;
}

/** Which object stood under a name: told by the first `get` that is given it, demanded by all later ones. */
export interface ObjectVersion {
  /** Null: not known, or the store has none. */
  tag: string | null;
}

export interface ObjectStore {
  /** The bytes of [start, end) of the object, by default all. @throws 58030 when it is missing, or is not of the version any more */
  get(location: string, start?: number, end?: number, version?: ObjectVersion): Promise<Uint8Array>;
  /** The whole object in pieces, for objects of any size. @throws 58030 when it is missing, the signal's reason */
  read(location: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Null when there is no such object. */
  head(location: string): Promise<ObjectInfo | null>;
  put(location: string, bytes: Uint8Array): Promise<void>;
  /** Puts several side by side; O1 holds for all when it resolves. Where it fails, any of them may be there, and none comes any more. */
  putAll(objects: readonly NewObject[]): Promise<void>;
  /** False, and nothing written, when there is one already. */
  putIfAbsent(location: string, bytes: Uint8Array): Promise<boolean>;
  /** Puts a local file of any size (over a network in parts). Replaces. */
  putFile(location: string, path: string): Promise<void>;
  /** All objects below a folder's location, in no order. Empty when there is none. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Deletes what exists of them. */
  delete(locations: readonly string[]): Promise<void>;
  /** Deletes all objects below a folder's location. */
  deleteBelow(prefix: string): Promise<void>;
}
