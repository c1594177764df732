/** Messages of PostgreSQL's protocol as clients send them, and as none would. */
import {
  bind,
  closePortal,
  closeStatement,
  copyData,
  copyDone,
  copyFail,
  describePortal,
  describeStatement,
  execute,
  flush,
  int32,
  message,
  parse,
  query,
  sync,
} from '../wire/conversation.ts';
import type { Random } from './random.ts';

/** Types whose parameters the statements below have. */
const TYPES = [
  ['int2', 21],
  ['int4', 23],
  ['int8', 20],
  ['float4', 700],
  ['float8', 701],
  ['numeric(20,5)', 1700],
  ['bool', 16],
  ['text', 25],
  ['bytea', 17],
  ['date', 1082],
  ['time', 1083],
  ['timestamp', 1114],
  ['timestamptz', 1184],
  ['uuid', 2950],
  ['json', 114],
  ['jsonb', 3802],
  ['int4[]', 1007],
  ['text[]', 1009],
  ['varchar(5)', 1043],
] as const;

/** What the fuzzed statements are about. */
export const DEFINITIONS = `CREATE TABLE fuzz (k int PRIMARY KEY, ${TYPES.map(([type], i) => `c${i} ${type}`).join(', ')});
  CREATE TABLE keyless (a int, b text); INSERT INTO fuzz (k) VALUES (1), (2), (3); INSERT INTO keyless VALUES (1, 'x')`;

const STATEMENTS = [
  'SELECT 1',
  'SELECT * FROM fuzz',
  'SELECT * FROM fuzz WHERE k = 1',
  'SELECT k, c7 FROM fuzz ORDER BY k',
  'SELECT count(*) FROM fuzz',
  'SELECT a, b FROM keyless WHERE a > 0',
  "INSERT INTO keyless VALUES (1, 'a'), (2, NULL)",
  "INSERT INTO fuzz (k, c7) VALUES (7, 'a') ON CONFLICT (k) DO UPDATE SET c7 = excluded.c7",
  "UPDATE fuzz SET c7 = 'u' WHERE k = 2 RETURNING *",
  'DELETE FROM keyless WHERE a = 2',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT s',
  'ROLLBACK TO s',
  'COPY keyless FROM STDIN',
  'COPY keyless FROM STDIN (FORMAT csv)',
  'COPY keyless FROM STDIN (FORMAT binary)',
  'COPY keyless TO STDOUT',
  'COPY (SELECT k FROM fuzz) TO STDOUT (FORMAT binary)',
  'PREPARE x AS SELECT k FROM fuzz',
  'EXECUTE x',
  'DEALLOCATE ALL',
  'DECLARE c CURSOR WITH HOLD FOR SELECT k FROM fuzz',
  'FETCH 2 FROM c',
  'CLOSE ALL',
  'SET search_path = public',
  "SET TIME ZONE 'Asia/Tokyo'",
  'SHOW ALL',
  'LISTEN l',
  "NOTIFY l, 'x'",
  'DISCARD ALL',
  'SELECT relname FROM pg_class WHERE oid = 1259',
  '',
  ';;',
];
const COPIED = [
  '1\ta\n',
  '2\t\\N\n',
  '3,"x\n',
  '\\.\n',
  'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0',
  '\0\x02\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff',
  '\xff\xff',
];
const NAMES = ['', 's', 'p', 'x'];
const KNOWN = 'QPBEDCSHFXdcfp';

function value(random: Random): Uint8Array | null {
  switch (random.below(6)) {
    case 0:
      return null;
    case 1:
      return random.bytes(random.below(20));
    case 2:
      return random.bytes(random.of([1, 2, 4, 8, 12, 16]));
    case 3:
      return Buffer.from(
        random.of(['1', '-5', 'x', '2024-02-30', '{1,2}', '{"a":1}', 'NaN', 'infinity', '1e400', '', 'true']),
      );
    case 4:
      return Buffer.concat([
        int32(random.below(4)),
        int32(random.below(2)),
        int32(random.of([23, 25])),
        random.bytes(random.below(24)),
      ]);
    default:
      return Buffer.from(String(random.below(10)));
  }
}

/** One that could be a client's. */
function wellFormed(random: Random): Buffer[] {
  const name = random.of(NAMES);
  switch (random.below(14)) {
    case 0:
    case 1:
      return [query(random.of(STATEMENTS))];
    case 2:
      return [query(`${random.of(STATEMENTS)};${random.of(STATEMENTS)}`)];
    case 3: {
      const i = random.below(TYPES.length);
      const sql = random.of([
        `INSERT INTO fuzz (k, c${i}) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
        `SELECT k FROM fuzz WHERE c${i} = $2 AND k > $1`,
        `UPDATE fuzz SET c${i} = $2 WHERE k = $1`,
        `SELECT $1::int4, $2::${TYPES[i]![0]}`,
        `SELECT k FROM fuzz WHERE k = $1 AND $2::${TYPES[i]![0]} IS NOT NULL`,
      ]);
      const formats = random.of([[], [0], [1], [1, 1], [0, 1]]);
      const first =
        formats.length > 0 && formats[0] === 1 ? int32(random.below(9)) : Buffer.from(String(random.below(9)));
      const made = [
        parse('', sql, ...(random.chance(2) ? [23, TYPES[i]![1]] : [])),
        bind('', '', [first, value(random)], formats, random.of([[], [0], [1]])),
      ];
      return [...made, describePortal(), execute('', random.below(3)), sync];
    }
    case 4:
      return [parse(name, random.of(STATEMENTS)), bind(name, name), execute(name, random.below(3)), sync];
    case 5:
      return [random.chance(2) ? describeStatement(name) : describePortal(name), flush];
    case 6:
      return [random.chance(2) ? closeStatement(name) : closePortal(name)];
    case 7:
      return [
        bind(
          name,
          random.of(NAMES),
          Array.from({ length: random.below(4) }, () => value(random)),
        ),
      ];
    case 8:
      return [execute(name, random.below(5))];
    case 9:
      return [
        query(random.of(STATEMENTS.filter((sql) => sql.startsWith('COPY')))),
        copyData(Buffer.from(random.of(COPIED), 'latin1')),
        copyDone,
      ];
    case 10:
      return [copyData(Buffer.from(random.of(COPIED), 'latin1')), random.chance(3) ? copyFail('no') : copyDone];
    default:
      return [sync];
  }
}

/** A message with something changed in it. */
function damaged(random: Random, bytes: Buffer): Buffer {
  const made = Buffer.from(bytes);
  switch (random.below(7)) {
    case 0:
      made[random.below(made.length)] = random.below(256);
      return made;
    case 1: // its length says less or more than it has
      if (made.length >= 5) made.writeInt32BE(Math.max(0, made.readInt32BE(1) + random.below(9) - 4), 1);
      return made;
    case 2: // cut, with the length of what is left
      return message(String.fromCharCode(made[0]!), made.subarray(5, Math.max(5, random.below(made.length + 1))));
    case 3:
      return message(String.fromCharCode(made[0]!), made.subarray(5), random.bytes(random.below(6)));
    case 4:
      return message(random.of([...KNOWN]), made.subarray(5));
    case 5:
      return message(random.of([...KNOWN]), random.bytes(random.below(40)));
    default: {
      const at = 5 + random.below(Math.max(1, made.length - 5));
      return message(
        String.fromCharCode(made[0]!),
        made.subarray(5, at),
        random.bytes(1 + random.below(3)),
        made.subarray(at),
      );
    }
  }
}

/** What one connection sends after its start. */
export function messagesOf(random: Random): Buffer[] {
  const sent: Buffer[] = [];
  const wildness = random.of([2, 10, 1000]);
  for (let i = 1 + random.below(30); i > 0; i--)
    for (const each of wellFormed(random)) sent.push(random.chance(wildness) ? damaged(random, each) : each);
  return sent;
}

/** Start-up packets, few of them right. */
export function startOf(random: Random, database: string): Buffer {
  const packet = (...parts: readonly (Uint8Array | string)[]): Buffer => {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
    return Buffer.concat([int32(body.length + 4), body]);
  };
  const right = packet(int32(196_608 + random.of([0, 0, 2, 9])), `user\0arka\0database\0${database}\0\0`);
  switch (random.below(12)) {
    case 0:
      return Buffer.concat([packet(int32(random.of([80_877_103, 80_877_104]))), right]);
    case 1:
      return packet(int32(80_877_102), int32(random.below(50)), random.bytes(random.below(40)));
    case 2:
      return random.bytes(random.below(60));
    case 3: {
      const made = Buffer.from(right);
      made[random.below(made.length)] = random.below(256);
      return made;
    }
    case 4:
      return packet(
        int32(196_608),
        `user\0arka\0database\0${database}\0options\0-c ${random.of(['DateStyle=x', 'search_path=a,b', 'role=arka', 'x'])}\0\0`,
      );
    default:
      return right;
  }
}
