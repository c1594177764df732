/**
 * PostgreSQL reads the literals of a statement when it is prepared. Arka reads them when it plans, so what is prepared and then
 * executed under another time zone, DateStyle or IntervalStyle has its literals of times written anew first, as they were read.
 *
 * - L1 Which type a literal has PostgreSQL says: it describes the statement with a parameter in the literal's place. A literal behind
 *   the name of its type has that.
 * - L2 What is written in their place means the same in every session: ISO 8601 with an offset, intervals in PostgreSQL's own style.
 * - L3 Only literals that a type of times takes are looked at. What can neither be written anew nor left is 0A000.
 */
import { notSupported, SqlError } from '../errors.ts';
import { constantKind, constantText, walk } from '../planner/ast.ts';
import { parseSql } from '../planner/parse.ts';
import type { ParsedStatement } from '../planner/plan.ts';
import { typeOidOf } from '../planner/type-names.ts';
import { quoteLiteral } from '../sql-text.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { putText } from '../types/parse-text-value.ts';
import { elementType, Oid, physicalOf } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { textOutput } from '../types/text-output.ts';
import { timeZone, UTC } from '../types/time-zone.ts';
import { decodeText } from '../types/utf8.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import type { Preparation } from './prepare.ts';

/** How a session reads literals: its zone with its styles, and the moment that 'now' means, in microseconds. */
export interface LiteralReading {
  readonly zone: string;
  readonly now: number;
}

const TIMES: readonly number[] = [Oid.timestamptz, Oid.timestamp, Oid.date, Oid.timetz, Oid.time, Oid.interval];
/** Words that the clock gives a meaning. */
const RELATIVE = /'\s*(?:now|today|tomorrow|yesterday)\b/i;

export const readsClock = (text: string): boolean => RELATIVE.test(text);

/** A literal in the text: where it begins and ends, in UTF-16 units; the type that is written before it, 0 for none. */
interface Literal {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly typeOid: number;
}

/** The statement as it is read anywhere; itself where no literal of it has to be. @throws {SqlError} 0A000 */
export async function withReadLiterals(
  { describe }: Pick<Preparation, 'describe'>,
  parsed: ParsedStatement,
  parameterOids: readonly number[],
  reading: LiteralReading,
): Promise<ParsedStatement> {
  const { text, position, parameterCount, source = text } = parsed;
  if (!text.includes("'") && !text.includes('$$')) return parsed;
  const literals = literalsOf(text).filter((literal) => isOfTime(literal, reading));
  if (literals.length === 0) return parsed;
  const open = literals.filter(({ typeOid }) => typeOid === 0);
  const oids = open.length === 0 ? [] : await typesOf(describe, parsed, parameterOids, open);
  let written = text;
  for (const literal of literals.toReversed()) {
    const oid = literal.typeOid === 0 ? oids[parameterCount + open.indexOf(literal)]! : literal.typeOid;
    if (TIMES.includes(elementType(oid) ?? 0)) throw cannotRead(literal);
    if (!TIMES.includes(oid)) continue;
    const anew = quoteLiteral(rewritten(literal.text, oid, reading) ?? literal.text);
    written = written.slice(0, literal.start) + anew + written.slice(literal.end);
  }
  return written === text ? parsed : { ...parseSql(written)[0]!, position, source };
}

async function typesOf(
  describe: Preparation['describe'],
  { text, parameterCount }: ParsedStatement,
  parameterOids: readonly number[],
  open: readonly Literal[],
): Promise<readonly number[]> {
  let asked = text;
  for (const [i, { start, end }] of [...open.entries()].toReversed())
    asked = `${asked.slice(0, start)} $${parameterCount + i + 1} ${asked.slice(end)}`;
  const known = Array.from({ length: parameterCount }, (_, i) => parameterOids[i] ?? 0);
  try {
    return (await describe(asked, [...known, ...open.map(() => 0)])).parameterOids;
  } catch (error) {
    throw error instanceof SqlError ? cannotRead(open[0]!, error) : error;
  }
}

function cannotRead({ text }: Literal, cause?: SqlError): SqlError {
  return notSupported(
    `the literal ${quoteLiteral(text)} in a statement that was prepared under other settings of time`,
    {
      hint: 'Prepare it again, or give the value as a parameter.',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** Null: the type does not take it. */
function rewritten(text: string, oid: number, { zone, now }: LiteralReading): string | null {
  const type = { oid, typmod: -1 };
  const builder = new VectorBuilder(physicalOf(type));
  try {
    putText(textInput(type, { timeZone: timeZone(zone), now: () => now }), text, builder);
  } catch (error) {
    if (error instanceof SqlError) return null;
    throw error;
  }
  const out = new ByteWriter(64);
  textOutput(type, { timeZone: UTC })(builder.vector(), 0, out);
  return decodeText(out.bytes, 0, out.length);
}

function isOfTime({ text, typeOid }: Literal, reading: LiteralReading): boolean {
  if (typeOid !== 0) return TIMES.includes(typeOid);
  const isArray = /^\s*\{.*\d/.test(text) || /^\s*\{.*(?:now|to|yester)/i.test(text);
  return isArray || TIMES.some((oid) => rewritten(text, oid, reading) !== null);
}

/** In the order of the text. @throws {SqlError} 0A000 for one of times that is not written between plain quotes */
function literalsOf(text: string): readonly Literal[] {
  const { node } = parseSql(text)[0]!;
  const unitOf = unitsOf(text);
  const literals = new Map<number, Literal>();
  const add = (constant: unknown, typeOid: number): void => {
    const { location = 0 } = (constant as { A_Const: { location?: number } }).A_Const;
    const start = unitOf(location);
    const [token] = /^'(?:[^']|'')*'/.exec(text.slice(start)) ?? [];
    const value = constantText(constant as Parameters<typeof constantText>[0])!;
    if (literals.has(start)) return;
    if (token === undefined) {
      if (TIMES.some((oid) => rewritten(value, oid, { zone: 'UTC', now: 0 }) !== null))
        throw cannotRead({ start, end: start, text: value, typeOid });
      return;
    }
    literals.set(start, { start, end: start + token.length, text: value, typeOid });
  };
  walk(node, (tag, body) => {
    if (tag === 'A_Const' && constantKind({ A_Const: body } as never) === 'string') add({ A_Const: body }, 0);
    if (tag !== 'TypeCast') return undefined;
    const { arg, typeName } = body as { arg?: object; typeName?: { location?: number; typmods?: unknown[] } };
    if (arg === undefined || !('A_Const' in arg) || constantKind(arg as never) !== 'string') return undefined;
    const typeOid = typeOidOf(typeName as never) ?? 0;
    // its fields say what a number alone means, and are no part of what is read anew
    if (typeOid === Oid.interval && (typeName?.typmods?.length ?? 0) > 0) return false;
    const isBehind = (typeName?.location ?? 0) < ((arg.A_Const as { location?: number }).location ?? 0);
    if (!isBehind) return undefined;
    if (TIMES.includes(typeOid)) add(arg, typeOid);
    return false; // of a type that is named: no parameter could stand there
  });
  return [...literals.values()].toSorted((left, right) => left.start - right.start);
}

/** Code points → UTF-16 units. */
function unitsOf(text: string): (codePoint: number) => number {
  const characters = [...text];
  if (characters.length === text.length) return (codePoint) => codePoint;
  return (codePoint) => characters.slice(0, codePoint).join('').length;
}
