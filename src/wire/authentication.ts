/**
 * Between StartupMessage and AuthenticationOk: SASL messages of a client that must prove who it is.
 *
 * - A1 A wrong proof is 28P01 after `REFUSAL_MS`, the same for names that nobody has; it names no reason.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ByteWriter } from '../types/byte-writer.ts';
import * as backend from './backend-messages.ts';
import { decodeUtf8 } from './message-body.ts';
import { type Credential, ScramExchange } from './scram-exchange.ts';

/** How long a wrong password takes, so that trying many takes long. */
export const REFUSAL_MS = 250;
/** Longest message of a client that has not proven who it is. */
export const LOGIN_BYTES_MAX = 10_000;
const SASL_RESPONSE = 'p'.charCodeAt(0);

export class Authentication {
  readonly user: string;
  readonly #exchange: ScramExchange;
  #begun = false;

  constructor(user: string, credential: Credential, endPoint: Uint8Array | null, out: ByteWriter) {
    this.user = user;
    this.#exchange = new ScramExchange(credential, endPoint);
    backend.authenticationSasl(out, this.#exchange.mechanisms);
  }

  /** @throws {SqlError} FATAL 08P01, 28000 */
  accept(type: number, bytes: Uint8Array, start: number, end: number, out: ByteWriter): 'more' | 'proven' | 'refused' {
    if (type !== SASL_RESPONSE) throw violation(`expected SASL response, got message type ${type}`);
    const step = this.#begun ? this.#exchange.final(decodeUtf8(bytes, start, end)) : this.#first(bytes, start, end);
    this.#begun = true;
    if (step === 'refused') return 'refused';
    if (!step.done) {
      backend.authenticationSaslContinue(out, step.say);
      return 'more';
    }
    backend.authenticationSaslFinal(out, step.say);
    return 'proven';
  }

  /** SASLInitialResponse = `mechanism\0 | length i32 | message`. */
  #first(bytes: Uint8Array, start: number, end: number): ReturnType<ScramExchange['first']> {
    const zero = bytes.indexOf(0, start);
    if (zero < 0 || zero + 5 > end) throw violation('invalid SASL initial response');
    const length = new DataView(bytes.buffer, bytes.byteOffset).getInt32(zero + 1);
    if (length !== end - zero - 5) throw violation('invalid SASL initial response');
    return this.#exchange.first(decodeUtf8(bytes, start, zero), decodeUtf8(bytes, zero + 5, end));
  }

  get refusal(): SqlError {
    const message = `password authentication failed for user "${this.user}"`;
    return new SqlError(SqlState.invalidPassword, message, { severity: 'FATAL' });
  }
}

const violation = (message: string): SqlError =>
  new SqlError(SqlState.protocolViolation, message, { severity: 'FATAL' });
