/** The client's side of SCRAM-SHA-256 as messages, without channel binding. */
import { pbkdf2Sync } from 'node:crypto';
import { hmac, sha256 } from '../../src/scram.ts';
import { message } from './fake-gateway.ts';

export class ScramClient {
  salt = '';
  readonly #password: string;
  readonly #bare: string;

  constructor(user: string, password: string, nonce = 'abcdefgh') {
    this.#password = password;
    this.#bare = `n=${user},r=${nonce}`;
  }

  /** SASLInitialResponse */
  first(): Buffer {
    const text = Buffer.from(`n,,${this.#bare}`);
    const length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    return message('p', Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, text]));
  }

  /** SASLResponse to what the server said. */
  final(server: string): Buffer {
    const [, nonce = '', salt = '', iterations = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(server) ?? [];
    this.salt = salt;
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
    const key = hmac(salted, 'Client Key');
    const bare = `c=biws,r=${nonce}`;
    const proof = hmac(sha256(key), `${this.#bare},${server},${bare}`);
    for (let i = 0; i < proof.length; i++) proof[i]! ^= key[i]!;
    return message('p', `${bare},p=${proof.toString('base64')}`);
  }
}
