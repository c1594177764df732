/** Rows of a query whose columns are calls of sequences or act on the session: the arguments come, the values go. */
import { SqlError, SqlState } from '../errors.ts';
import type { PlainFunction } from '../planner/session-functions.ts';
import type { SequenceValue } from '../ingest/sequence.ts';
import { along } from '../ingest/relations.ts';
import { undefinedSequence } from '../ingest/sequences.ts';
import type { ColumnCalls, CallColumn } from '../planner/plan.ts';
import { typeOfCall } from '../planner/column-calls.ts';
import { identifierParts } from '../planner/utility.ts';
import { isTemporarySchema } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { typeLength } from '../types/pg-type.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { decodeText } from '../types/utf8.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import type { QueryEnvironment, SessionActions } from './query.ts';

type Call = Exclude<CallColumn, { readonly kind: 'pass' }>;

/** Formats of the inner query: arguments are texts. */
export function innerFormats({ columns }: ColumnCalls, formats: readonly Format[]): Format[] {
  const inner: Format[] = [];
  columns.forEach((column, i) => {
    if (column.kind === 'pass') inner.push(formats[i] ?? 0);
    else for (let k = 0; k < column.count; k++) inner.push(0);
  });
  return inner.length === 0 ? [0] : inner;
}

/** The columns of the result, from those of the inner query. */
export function outerColumns({ columns }: ColumnCalls, inner: readonly ResultColumn[]): ResultColumn[] {
  return columns.map((column) =>
    column.kind === 'pass'
      ? inner[column.at]!
      : { name: column.label, tableOid: 0, attnum: 0, ...typeOfColumn(column), typmod: -1 },
  );
}

function typeOfColumn(column: Call): Pick<ResultColumn, 'typeOid' | 'typlen'> {
  const typeOid = typeOfCall(column);
  return { typeOid, typlen: typeLength(typeOid) };
}

/** DataRow messages of the inner query → those of the result; the calls are carried out, row by row, from left to right. */
export async function carriedOut(
  environment: QueryEnvironment,
  { columns }: ColumnCalls,
  formats: readonly Format[],
  messages: Uint8Array,
): Promise<Uint8Array> {
  const out = new ByteWriter(messages.length + 64);
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) {
    const fields = fieldsOf(messages, view, at);
    out.u8(68);
    const start = out.length;
    out.i32(0);
    out.i16(columns.length);
    for (const [i, column] of columns.entries()) {
      const format = formats[i] ?? 0;
      if (column.kind === 'pass') putField(out, fields[column.at]!);
      else if (column.kind === 'session')
        putField(out, await actOnSession(environment.actions, column, fields, format));
      else {
        const value = call(environment, column, fields);
        putValue(out, value instanceof Promise ? await value : value, format);
      }
    }
    out.setI32(start, out.length - start);
  }
  const saving = environment.sequences.settled();
  if (saving !== null) await saving;
  return out.take();
}

/** The fields of the DataRow message at `at`. */
export function fieldsOf(messages: Uint8Array, view: DataView, at: number): (Uint8Array | null)[] {
  const fields: (Uint8Array | null)[] = [];
  let field = at + 7;
  for (let i = view.getInt16(at + 5); i > 0; i--) {
    const length = view.getInt32(field);
    field += 4;
    fields.push(length < 0 ? null : messages.subarray(field, field + length));
    field += Math.max(0, length);
  }
  return fields;
}

function putField(out: ByteWriter, field: Uint8Array | null): void {
  out.i32(field === null ? -1 : field.length);
  if (field !== null) out.raw(field);
}

function putValue(out: ByteWriter, value: SequenceValue | null, format: Format): void {
  if (value === null) putField(out, null);
  else if (format === 0) putField(out, Buffer.from(String(value)));
  else {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    putField(out, bytes);
  }
}

const NOTHING = new Uint8Array(0);

/** Null when an argument is NULL; a void is empty. @throws {SqlError} 40P01, 55P03, 57014; 22023, 22004 */
async function actOnSession(
  actions: SessionActions,
  { function: called, at, count }: Extract<Call, { kind: 'session' }>,
  fields: readonly (Uint8Array | null)[],
  format: Format,
): Promise<Uint8Array | null> {
  if (called.action === 'setConfig') {
    const [name, value, isLocal] = fields
      .slice(at, at + count)
      .map((arg) => (arg === null ? null : decodeText(arg, 0, arg.length)));
    return Buffer.from(actions.setConfig(name ?? null, value ?? null, isLocal === 't'));
  }
  const args = fields.slice(at, at + count);
  if (!('isShared' in called)) return actPlainly(actions, called.action, args, format);
  const { advisory, patience, warning } = actions;
  const { action, isShared, until } = called;
  if (args.includes(null)) return null;
  const key = args.map((arg) => decodeText(arg!, 0, arg!.length)).join(' ');
  const answer = (value: boolean): Uint8Array => booleanField(value, format);
  switch (action) {
    case 'lock':
      await advisory.lock(key, isShared, until, patience);
      return NOTHING;
    case 'try':
      return answer(advisory.take(key, isShared, until));
    case 'unlockAll':
      advisory.unlockAll();
      return NOTHING;
    default: {
      const was = advisory.unlock(key, isShared);
      if (!was) warning(SqlState.warning, `you don't own a lock of type ${isShared ? 'ShareLock' : 'ExclusiveLock'}`);
      return answer(was);
    }
  }
}

function booleanField(value: boolean, format: Format): Uint8Array {
  return format === 1 ? Uint8Array.of(Number(value)) : Buffer.from(value ? 't' : 'f');
}

/** @throws {SqlError} 57014; 22023; 42501 */
async function actPlainly(
  { sleep, notify, end, now }: SessionActions,
  action: PlainFunction['action'],
  args: readonly (Uint8Array | null)[],
  format: Format,
): Promise<Uint8Array | null> {
  const [first = null, second = null] = args.map((arg) => (arg === null ? null : decodeText(arg, 0, arg.length)));
  if (action === 'notify') {
    notify(first ?? '', second ?? '');
    return NOTHING;
  }
  if (args.includes(null)) return null;
  switch (action) {
    case 'sleep':
    case 'sleepFor':
      await sleep(Number(first) * 1000);
      return NOTHING;
    case 'sleepUntil':
      await sleep(Number(first) * 1000 - now());
      return NOTHING;
    default:
      return booleanField(end(Number(first), action === 'cancel' ? 'cancel' : 'terminate'), format);
  }
}

/** Null when an argument is NULL. @throws {SqlError} 42P01, 42809, 55000, 2200H, 22003; 55P03, 40P01, 57014 */
function call(
  environment: QueryEnvironment,
  column: Exclude<Call, { kind: 'session' }>,
  fields: readonly (Uint8Array | null)[],
): MaybePromise<SequenceValue | null> {
  const { sequences, actions } = environment;
  if (column.kind === 'lastval') return sequences.last();
  const args = fields.slice(column.at, column.at + column.count);
  if (args.includes(null)) return null;
  const [name, value, isCalled] = args.map((arg) => decodeText(arg!, 0, arg!.length));
  const oid = sequenceOid(environment, name!);
  sequences.permit(column.kind, oid);
  if (column.kind === 'currval') return sequences.current(oid);
  const { kind } = column;
  const drawn = (): SequenceValue => {
    if (kind === 'nextval') return sequences.next(oid);
    const number = BigInt(value!);
    sequences.set(oid, number, isCalled === 't');
    return number;
  };
  return sequences.released([oid], actions.patience)?.then(drawn) ?? drawn();
}

function sequenceOid({ relations, searchPath }: QueryEnvironment, name: string): number {
  const parts = identifierParts(name);
  const given = parts.at(-2) ?? null;
  const schema = given === 'pg_temp' ? (searchPath.find(isTemporarySchema) ?? given) : given;
  const found = along(searchPath, schema, (each) => {
    const sequence = relations.sequence(each, parts.at(-1)!);
    if (sequence === undefined && relations.table(each, parts.at(-1)!) !== undefined)
      throw new SqlError(SqlState.wrongObjectType, `"${parts.at(-1)}" is not a sequence`);
    return sequence;
  });
  if (found === undefined) throw undefinedSequence(name);
  return found.def.oid;
}
