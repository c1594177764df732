/**
 * The S3 client: settings to one configured SDK client, and its failures to errors that a person can act on.
 *
 * - S1 A request that failed for a passing reason (5xx, throttling, timeout, connection) is sent again, with backoff and
 *   full jitter, up to ATTEMPTS_MAX times and not after RETRY_FOR_MS: what waits in a table's lane must not wait long.
 * - S2 An error names operation, bucket, key, endpoint and S3's code. It never has headers, credentials or a signature:
 *   of the SDK's error only name and message are kept.
 * Checksums only where S3 requires them: servers that speak S3 without the newer headers (GCS) refuse the others.
 */
import { S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../clock.ts';
import { SqlError, SqlState } from '../../errors.ts';

export interface S3Settings {
  /** Empty: AWS, or what the SDK finds in environment and profile. */
  readonly endpoint: string;
  /** Empty: what the SDK finds in environment and profile. */
  readonly region: string;
  readonly pathStyle: boolean;
}

/** Times of the client; tests make them short. */
export interface S3Timing {
  readonly connectMs: number;
  /** Longest silence on a connection. */
  readonly idleMs: number;
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  readonly retryForMs: number;
}
export const S3_TIMING: S3Timing = {
  connectMs: 3000,
  idleMs: 10_000,
  backoffMs: 100,
  backoffMaxMs: 3000,
  retryForMs: 12_000,
};
export const ATTEMPTS_MAX = 6;

export interface S3Connection {
  readonly client: S3Client;
  /** How the server is called in messages. */
  readonly shown: string;
  readonly timing: S3Timing;
  readonly clock: Clock;
  readonly random: () => number;
  /** A file that is larger goes up in parts of so many bytes. */
  readonly partBytes: number;
}
const PART_BYTES = 8 * 2 ** 20;

export interface S3Address {
  readonly bucket: string;
  readonly key: string;
}

/** `s3://bucket/key`; s3a and s3n are other engines' names for the same. The key is taken as it is. */
export function s3Address(location: string): S3Address {
  const match = /^s3[an]?:\/\/([^/]+)\/?(.*)$/s.exec(location);
  if (match === null) throw new SqlError(SqlState.ioError, `"${location}" is not a location in S3`);
  return { bucket: match[1]!, key: match[2]! };
}

export function connectS3(
  settings: S3Settings,
  clock: Clock,
  random: () => number,
  timing: S3Timing = S3_TIMING,
): S3Connection {
  const endpoint = settings.endpoint === '' ? null : settings.endpoint;
  const environment = process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  // A server of one's own has no regions, but a signature needs one.
  const region =
    settings.region !== '' ? settings.region : endpoint === null ? undefined : (environment ?? 'us-east-1');
  const client = new S3Client({
    ...(endpoint === null ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: settings.pathStyle,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: ATTEMPTS_MAX,
    retryStrategy: retryStrategy(timing, clock, random),
    requestHandler: { connectionTimeout: timing.connectMs, socketTimeout: timing.idleMs },
  });
  return {
    client,
    shown: endpoint ?? process.env['AWS_ENDPOINT_URL_S3'] ?? 'AWS',
    timing,
    clock,
    random,
    partBytes: PART_BYTES,
  };
}

/** Full jitter: many that failed together do not come back together. */
export function backoffMs(timing: S3Timing, attempt: number, random: () => number): number {
  return Math.ceil(random() * Math.min(timing.backoffMaxMs, timing.backoffMs * 2 ** attempt));
}

interface Token {
  readonly started: number;
  getRetryCount(): number;
  getRetryDelay(): number;
  getRetryCost(): number | undefined;
}

/** S1, as the SDK's middleware asks for it: it classifies the error and sleeps, this decides whether and how long. */
function retryStrategy(timing: S3Timing, clock: Clock, random: () => number) {
  const token = (started: number, count: number, delay: number): Token => ({
    started,
    getRetryCount: () => count,
    getRetryDelay: () => delay,
    getRetryCost: () => undefined,
  });
  return {
    mode: 'arka',
    acquireInitialRetryToken: () => Promise.resolve(token(clock.monotonic(), 0, 0)),
    refreshRetryTokenForRetry: (last: object, info: { readonly errorType: string; readonly error?: unknown }) => {
      const { started, getRetryCount } = last as Token;
      const count = getRetryCount() + 1;
      const tired = count >= ATTEMPTS_MAX || clock.monotonic() - started >= timing.retryForMs;
      if (tired || (info.errorType === 'CLIENT_ERROR' && !isBroken(info.error)))
        return Promise.reject(new Error('not sent again'));
      return Promise.resolve(token(started, count, backoffMs(timing, count - 1, random)));
    },
    recordSuccess: () => {},
  };
}

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

/** What an answer that ended early, or a connection that went away, looks like. */
export function isBroken(error: unknown): boolean {
  const { code, name, message } = (error ?? {}) as SdkError;
  return (
    ['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code ?? '') ||
    name === 'TimeoutError' ||
    message === 'aborted'
  );
}

export function statusOf(error: unknown): number | undefined {
  return (error as SdkError | undefined)?.$metadata?.httpStatusCode;
}

export function attemptsOf(error: unknown): number {
  return (error as SdkError | undefined)?.$metadata?.attempts ?? 1;
}

/** S3's own code, such as NoSuchKey; null where the failure is not S3's answer. */
export function codeOf(error: unknown): string | null {
  const { name } = (error ?? {}) as SdkError;
  return statusOf(error) === undefined || name === undefined || name === 'Error' ? null : name;
}

const HINTS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'Create the bucket, or correct catalog.warehouse.',
  AccessDenied: 'The credentials found by the AWS SDK need read, write, list and delete on the warehouse.',
  InvalidAccessKeyId: 'Check the credentials in the environment or the profile.',
  SignatureDoesNotMatch: 'Check the credentials in the environment or the profile, and s3.region.',
  PermanentRedirect: 'Set s3.region to the region of the bucket.',
  AuthorizationHeaderMalformed: 'Set s3.region to the region of the bucket.',
  CredentialsProviderError: 'Give credentials by environment, profile or role, as the AWS SDK looks for them.',
};

/** No answer of S3, or one that says so: nothing is wrong with the request. */
function isAway(name: string, status: number | undefined): boolean {
  if (status === undefined) return name !== 'CredentialsProviderError';
  return status >= 500 || status === 429;
}

/** S2. 58030 for everything that S3, or the way to it, refused. */
export function s3Error(
  connection: Pick<S3Connection, 'shown'>,
  what: string,
  location: string,
  error: unknown,
): unknown {
  if (error instanceof SqlError) return error;
  const { name = 'Error', message = '', code } = (error ?? {}) as SdkError;
  const { bucket, key } = s3Address(location);
  const status = statusOf(error);
  const answer = codeOf(error);
  const why =
    answer === null
      ? `${code ?? name}: ${message}`
      : `${answer === 'NotFound' ? 'no such object' : answer}${message === '' || message === answer || message === 'UnknownError' ? '' : `: ${message}`} (HTTP ${status})`;
  const hint = HINTS[answer ?? name];
  const cause = new Error(`${name}: ${message}`);
  return new SqlError(
    SqlState.ioError,
    `could not ${what} object "${key}" of bucket "${bucket}" at ${connection.shown}: ${why}`,
    {
      cause,
      ...(isAway(name, status) ? { transient: true } : {}),
      detail: attemptsOf(error) === 1 ? 'Tried once.' : `Tried ${attemptsOf(error)} times.`,
      ...(hint === undefined ? {} : { hint }),
    },
  );
}
