/** Kinds of types that many rules are of, by OID. */
import { Oid } from './pg-type.ts';

/** From the narrowest on. */
export const INTEGERS: ReadonlySet<number> = new Set([Oid.int2, Oid.int4, Oid.int8]);
export const FLOATS: ReadonlySet<number> = new Set([Oid.float4, Oid.float8]);
export const NUMBERS: ReadonlySet<number> = new Set([...INTEGERS, ...FLOATS, Oid.numeric]);
export const TEXTS: ReadonlySet<number> = new Set([Oid.text, Oid.varchar, Oid.bpchar]);
