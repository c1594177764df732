/** Array types by the types of their elements, from pg_type.dat (typarray). Arrays of any number of dimensions have one OID. */
import { Oid } from './pg-type.ts';

const ARRAYS: readonly (readonly [element: number, array: number])[] = [
  [Oid.bool, 1000],
  [Oid.bytea, 1001],
  [Oid.char, 1002],
  [Oid.name, 1003],
  [Oid.int2, 1005],
  [Oid.int4, 1007],
  [Oid.regproc, 1008],
  [Oid.text, 1009],
  [Oid.xid, 1011],
  [Oid.bpchar, 1014],
  [Oid.varchar, 1015],
  [Oid.int8, 1016],
  [Oid.float4, 1021],
  [Oid.float8, 1022],
  [Oid.oid, 1028],
  [Oid.timestamp, 1115],
  [Oid.date, 1182],
  [Oid.time, 1183],
  [Oid.timestamptz, 1185],
  [Oid.interval, 1187],
  [Oid.numeric, 1231],
  [Oid.timetz, 1270],
  [Oid.json, 199],
  [Oid.regclass, 2210],
  [Oid.regtype, 2211],
  [Oid.uuid, 2951],
  [Oid.pgLsn, 3221],
  [Oid.jsonb, 3807],
];
const ELEMENT_OF = new Map(ARRAYS.map(([element, array]) => [array, element]));
const ARRAY_OF = new Map(ARRAYS);

/** The type of an array's elements; undefined for what is no array known here. */
export function elementType(arrayOid: number): number | undefined {
  return ELEMENT_OF.get(arrayOid);
}

/** 0: none that is known here. */
export function arrayTypeOf(element: number): number {
  return ARRAY_OF.get(element) ?? 0;
}
