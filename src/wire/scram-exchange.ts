/**
 * The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, channel binding `tls-server-end-point`).
 *
 * Client: mechanism and `gs2-header n=,r=nonce`; server: `r=,s=,i=`; client: `c=,r=,p=`; server: `v=`.
 * - S1 The same messages, at the same cost, whether the user exists or not: what decides is asked last.
 * - S2 A client that could bind and was told that this server cannot is refused: somebody stands between.
 */
import { randomBytes } from 'node:crypto';
import { SqlError, SqlState } from '../errors.ts';
import { hmac, KEY_BYTES, sameBytes, sha256, type Verifier } from '../scram.ts';

const NONCE_BYTES = 18;
const PLAIN = 'SCRAM-SHA-256';
const PLUS = 'SCRAM-SHA-256-PLUS';

/** What a client must prove. */
export interface Credential {
  readonly verifier: Verifier;
  /** No proof is good enough: nobody has the name, the password has expired, there is none. */
  readonly doomed: boolean;
}

type Step = { readonly say: string; readonly done: boolean } | 'refused';

export class ScramExchange {
  readonly mechanisms: readonly string[];
  readonly #credential: Credential;
  /** The hash of the certificate, for clients over TLS; null: no binding. */
  readonly #endPoint: Uint8Array | null;
  readonly #random: string;
  #plus = false;
  #header = '';
  #clientFirst = '';
  #serverFirst = '';
  #nonce = '';

  constructor(
    credential: Credential,
    endPoint: Uint8Array | null,
    random = randomBytes(NONCE_BYTES).toString('base64'),
  ) {
    this.#credential = credential;
    this.#endPoint = endPoint;
    this.#random = random;
    this.mechanisms = endPoint === null ? [PLAIN] : [PLUS, PLAIN];
  }

  /** A SASLInitialResponse. @throws {SqlError} FATAL 08P01, 28000 */
  first(mechanism: string, message: string): Step {
    if (!this.mechanisms.includes(mechanism))
      throw fatal(SqlState.protocolViolation, 'client selected an invalid SASL authentication mechanism');
    this.#plus = mechanism === PLUS;
    const match = /^(([ny]|p=[A-Za-z0-9.-]+),(a=[^,]*)?,)((m=[^,]*,)?n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(,.*)?)$/s.exec(
      message,
    );
    if (match === null) throw malformed('The message does not begin an exchange as RFC 5802 writes it.');
    const [, header, flag, authzid, bare, extension, , nonce] = match;
    this.#binding(flag!);
    if (authzid !== undefined)
      throw fatal(SqlState.featureNotSupported, 'client uses authorization identity, but it is not supported');
    if (extension !== undefined)
      throw fatal(SqlState.featureNotSupported, 'client requires an unsupported SCRAM extension');
    this.#header = header!;
    this.#clientFirst = bare!;
    this.#nonce = nonce! + this.#random;
    const { salt, iterations } = this.#credential.verifier;
    this.#serverFirst = `r=${this.#nonce},s=${Buffer.from(salt).toString('base64')},i=${iterations}`;
    return { say: this.#serverFirst, done: false };
  }

  #binding(flag: string): void {
    if (flag.startsWith('p=')) {
      if (!this.#plus)
        throw malformed(
          'The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.',
        );
      if (flag !== 'p=tls-server-end-point')
        throw fatal(SqlState.protocolViolation, `unsupported SCRAM channel-binding type "${flag.slice(2)}"`);
      return;
    }
    if (this.#plus)
      throw malformed(
        'The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.',
      );
    if (flag === 'y' && this.#endPoint !== null) {
      throw fatal(SqlState.invalidAuthorization, 'SCRAM channel binding negotiation error', {
        detail:
          'The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.',
      });
    }
  }

  /** A SASLResponse. @throws {SqlError} FATAL 08P01, 28000 */
  final(message: string): Step {
    const match = /^(c=([A-Za-z0-9+/=]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,[^p][^,]*)*),p=([A-Za-z0-9+/=]+)$/.exec(message);
    if (match === null) throw malformed('The message does not end an exchange as RFC 5802 writes it.');
    const [, bare, binding, nonce, proofText] = match;
    const expected = this.#plus
      ? Buffer.concat([Buffer.from(this.#header), this.#endPoint!])
      : Buffer.from(this.#header);
    if (!sameBytes(Buffer.from(binding!, 'base64'), expected)) {
      throw this.#plus
        ? fatal(SqlState.invalidAuthorization, 'SCRAM channel binding check failed')
        : fatal(SqlState.protocolViolation, 'unexpected SCRAM channel-binding attribute in client-final-message');
    }
    if (!sameBytes(Buffer.from(nonce!), Buffer.from(this.#nonce)))
      throw fatal(SqlState.protocolViolation, 'invalid SCRAM response', { detail: 'Nonce does not match.' });
    const proof = Buffer.from(proofText!, 'base64');
    if (proof.length !== KEY_BYTES) throw malformed('Malformed proof in client-final-message.');
    const { storedKey, serverKey } = this.#credential.verifier;
    const signed = [this.#clientFirst, ',', this.#serverFirst, ',', bare!];
    const clientKey = hmac(storedKey, ...signed);
    for (let i = 0; i < KEY_BYTES; i++) clientKey[i]! ^= proof[i]!;
    const proven = sameBytes(sha256(clientKey), storedKey);
    const signature = hmac(serverKey, ...signed); // S1: also of one that is refused
    if (!proven || this.#credential.doomed) return 'refused';
    return { say: `v=${signature.toString('base64')}`, done: true };
  }
}

function fatal(code: SqlState, message: string, fields: { readonly detail?: string } = {}): SqlError {
  return new SqlError(code, message, { severity: 'FATAL', ...fields });
}

const malformed = (detail: string): SqlError =>
  fatal(SqlState.protocolViolation, 'malformed SCRAM message', { detail });
