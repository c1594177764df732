/** A key and a self-signed certificate for 127.0.0.1, made anew: RFC 5280 in the least that OpenSSL takes. */
import { createSign, generateKeyPairSync, type KeyObject, sign as signOnce } from 'node:crypto';

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const integer = (value: number): Buffer => der(0x02, Buffer.from([value]));
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);
const time = (text: string): Buffer => der(0x17, Buffer.from(text));

const SIGNATURES = { sha256: '2a8648ce3d040302', sha384: '2a8648ce3d040303', ed25519: '2b6570' };

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export function makeCertificate(signature: keyof typeof SIGNATURES = 'sha256'): Certificate {
  const pair =
    signature === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid(SIGNATURES[signature]));
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from('arka.test')))));
  const names = sequence(oid('551d11'), der(0x04, sequence(der(0x87, Buffer.from([127, 0, 0, 1])))));
  const body = sequence(
    der(0xa0, integer(2)),
    integer(7),
    algorithm,
    name,
    sequence(time('200101000000Z'), time('491231235959Z')),
    name,
    pair.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(names)),
  );
  const bytes = sequence(body, algorithm, bits(signed(body, signature, pair.privateKey)));
  const lines = bytes.toString('base64').replaceAll(/.{64}/g, '$&\n');
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

function signed(body: Buffer, signature: keyof typeof SIGNATURES, key: KeyObject): Buffer {
  return signature === 'ed25519' ? signOnce(null, body, key) : createSign(signature).update(body).sign(key);
}
