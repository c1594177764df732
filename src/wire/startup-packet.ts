/**
 * The first packets of a connection: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.
 *
 * Packet = `length i32 | code i32 | …`; a StartupMessage's code is its protocol version, major << 16 | minor.
 * Every error here is FATAL.
 */
import { SqlError, SqlState } from '../errors.ts';
import { decodeUtf8 } from './message-body.ts';

export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gss' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly key: Uint8Array }
  | {
      readonly kind: 'startup';
      readonly parameters: ReadonlyMap<string, string>;
      /** The minor version that is spoken: what was asked for, or the newest that is known. */
      readonly minor: number;
      /** Set when a newer minor version or `_pq_.` options were asked for: the options that are not known. */
      readonly negotiate: readonly string[] | null;
    };

/** From this minor version on cancel keys are longer than four bytes. */
export const MINOR_LONG_KEYS = 2;
const MINOR_MAX = 2;
/** The newest that is spoken, as its code. */
export const PROTOCOL_MAX = (3 << 16) | MINOR_MAX;
const CANCEL_KEY_BYTES_MAX = 256;
const CANCEL_REQUEST = (1234 << 16) | 5678;
const SSL_REQUEST = (1234 << 16) | 5679;
const GSSENC_REQUEST = (1234 << 16) | 5680;

function fatal(code: SqlState, message: string): SqlError {
  return new SqlError(code, message, { severity: 'FATAL' });
}

/** The body of a start-up packet, from its code on. */
export function parseStartupPacket(bytes: Uint8Array, start: number, end: number): StartupPacket {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
  const code = view.getInt32(0);
  switch (code) {
    case SSL_REQUEST:
      return { kind: 'ssl' };
    case GSSENC_REQUEST:
      return { kind: 'gss' };
    case CANCEL_REQUEST:
      if (view.byteLength < 12 || view.byteLength > 8 + CANCEL_KEY_BYTES_MAX)
        throw fatal(SqlState.protocolViolation, 'invalid length of query cancel packet');
      return { kind: 'cancel', pid: view.getInt32(4), key: bytes.slice(start + 8, end) };
    default:
      return startup(code, bytes, start + 4, end);
  }
}

function startup(code: number, bytes: Uint8Array, start: number, end: number): StartupPacket {
  const major = code >>> 16;
  const minor = code & 0xffff;
  if (major !== 3) {
    throw fatal(
      SqlState.featureNotSupported,
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.${MINOR_MAX}`,
    );
  }
  const parameters = new Map<string, string>();
  const unknown: string[] = [];
  let at = start;
  const next = (): string => {
    const zero = bytes.indexOf(0, at);
    if (zero < 0 || zero >= end) throw layout();
    const text = decodeUtf8(bytes, at, zero);
    at = zero + 1;
    return text;
  };
  for (;;) {
    const name = next();
    if (name === '') break;
    const value = next();
    if (name.startsWith('_pq_.')) unknown.push(name);
    else parameters.set(name, value);
  }
  if (at !== end) throw layout();
  if ((parameters.get('user') ?? '') === '') {
    throw fatal(SqlState.invalidAuthorization, 'no PostgreSQL user name specified in startup packet');
  }
  const negotiate = minor > MINOR_MAX || unknown.length > 0 ? unknown : null;
  return { kind: 'startup', parameters, minor: Math.min(minor, MINOR_MAX), negotiate };
}

function layout(): SqlError {
  return fatal(SqlState.protocolViolation, 'invalid startup packet layout: expected terminator as last byte');
}
