/**
 * TLS on an accepted socket: after SSLRequest, or from the first byte on (PostgreSQL 17's direct negotiation).
 *
 * - T1 Nothing that came in clear text is taken for what came through TLS (CVE-2021-23222).
 * - T2 Plain sockets know nothing of this: they keep the shared read buffer of `shared-reads.ts`.
 */
import { constants, createHash, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';

/** The first byte of a ClientHello; no start-up packet is so long that it begins with it. */
export const TLS_HANDSHAKE = 0x16;
const ALPN = 'postgresql';
/** OpenSSL's buffers of one connection, about. */
export const TLS_BYTES = 40 * 1024;

export interface TlsServer {
  readonly context: SecureContext;
  /** For SCRAM-SHA-256-PLUS (RFC 5929, tls-server-end-point); null: the certificate's signature names no hash. */
  readonly endPoint: Uint8Array | null;
  /** Connections in clear text are refused. */
  readonly required: boolean;
}

/** @param cert one certificate or a chain, as PEM @throws {Error} when they are not a pair that OpenSSL takes */
export function tlsServer(cert: string | Buffer, key: string | Buffer, required: boolean): TlsServer {
  const secureOptions = constants.SSL_OP_NO_RENEGOTIATION; // a client's, which costs the server more than him
  const context = createSecureContext({ cert, key, minVersion: 'TLSv1.2', secureOptions });
  return { context, endPoint: endPointOf(new X509Certificate(cert)), required };
}

/** MD5 and SHA-1 count as SHA-256. Ed25519 and RSA-PSS say no hash by their name. */
function endPointOf(certificate: X509Certificate): Uint8Array | null {
  const hash = /sha-?(\d+)/i.exec(certificate.signatureAlgorithm ?? '')?.[1];
  if (hash === undefined && !/md5/i.test(certificate.signatureAlgorithm ?? '')) return null;
  const bits = hash === undefined || hash === '1' ? '256' : hash;
  return createHash(`sha${bits}`).update(certificate.raw).digest();
}

/**
 * The same connection over TLS. The handshake's end is 'secure'; what fails in it ends in 'close'.
 * @param early what was read already of a handshake that came without a request
 */
export function overTls(plain: Socket, { context }: TlsServer, early: Uint8Array | null): TLSSocket {
  plain.pause();
  if (early !== null) plain.unshift(early);
  const secure = new TLSSocket(plain, {
    isServer: true,
    secureContext: context,
    requestCert: false,
    ALPNProtocols: [ALPN],
  });
  // After the handshake a record that does not decrypt is said here alone, and the socket would stay.
  secure.on('_tlsError', () => secure.destroy());
  plain.on('close', () => secure.destroy());
  return secure;
}

/** Whoever begins with TLS must say by ALPN what it is to carry. */
export const saidProtocol = (socket: TLSSocket): boolean => socket.alpnProtocol === ALPN;
