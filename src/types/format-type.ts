/** The SQL name of a type with its modifier, as PostgreSQL's format_type(oid, typmod) prints it. */
import type { PgType } from '../table-def.ts';
import { columnTypeInfo, elementType, numericModifier, Oid } from './pg-type.ts';

const OTHER_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'unknown'],
  [Oid.regproc, 'regproc'],
  [Oid.unknown, 'unknown'],
  [Oid.pgLsn, 'pg_lsn'],
  [Oid.void, 'void'],
  [Oid.tid, 'tid'],
  [Oid.xid, 'xid'],
  [Oid.cid, 'cid'],
  [Oid.xid8, 'xid8'],
  [Oid.money, 'money'],
  [Oid.regprocedure, 'regprocedure'],
  [Oid.regoper, 'regoper'],
  [Oid.regoperator, 'regoperator'],
  [Oid.regclass, 'regclass'],
  [Oid.regtype, 'regtype'],
  [Oid.regrole, 'regrole'],
  [Oid.regnamespace, 'regnamespace'],
  [Oid.regconfig, 'regconfig'],
  [Oid.regdictionary, 'regdictionary'],
  [Oid.regcollation, 'regcollation'],
]);

export function formatType(type: PgType): string {
  const element = elementType(type.oid);
  if (element !== undefined) return `${formatType({ oid: element, typmod: type.typmod })}[]`;
  const name = columnTypeInfo(type.oid)?.name ?? OTHER_NAMES.get(type.oid) ?? '???';
  if (type.typmod < 0) return type.oid === Oid.bpchar ? 'bpchar' : name;
  switch (type.oid) {
    case Oid.varchar:
    case Oid.bpchar:
      return type.typmod > 4 ? `${name}(${type.typmod - 4})` : name;
    case Oid.numeric: {
      const modifier = numericModifier(type.typmod);
      return modifier === null ? name : `${name}(${modifier.precision},${modifier.scale})`;
    }
    case Oid.time:
    case Oid.timetz:
    case Oid.timestamp:
    case Oid.timestamptz:
      return name.replace(/^(time|timestamp) /, `$1(${type.typmod}) `);
    default:
      return name;
  }
}
