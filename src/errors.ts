/**
 * Errors are part of the protocol: clients branch on the SQLSTATE, never on the text.
 *
 * A `SqlError` is what a client did or met; an `InvariantViolation` is our own bug.
 * Client input never reaches `invariant`.
 */

/** PostgreSQL's condition names and codes (documentation, appendix A). Add a row before raising a code. */
export const SqlState = {
  warning: '01000',
  privilegeNotRevoked: '01006',
  privilegeNotGranted: '01007',
  transactionResolutionUnknown: '08007',
  protocolViolation: '08P01',
  connectionFailure: '08006',
  invalidGrantOperation: '0LP01',
  featureNotSupported: '0A000',
  cardinalityViolation: '21000',
  stringDataRightTruncation: '22001',
  nullValueNotAllowed: '22004',
  numericValueOutOfRange: '22003',
  invalidDatetimeFormat: '22007',
  datetimeFieldOverflow: '22008',
  divisionByZero: '22012',
  intervalFieldOverflow: '22015',
  invalidPrecedingOrFollowingSize: '22013',
  invalidArgumentForNtile: '22014',
  invalidArgumentForNthValue: '22016',
  invalidArgumentForLogarithm: '2201E',
  invalidArgumentForPower: '2201F',
  invalidEscapeSequence: '22025',
  invalidParameterValue: '22023',
  characterNotInRepertoire: '22021',
  invalidTimeZoneDisplacement: '22009',
  sequenceLimitExceeded: '2200H',
  invalidTextRepresentation: '22P02',
  invalidBinaryRepresentation: '22P03',
  badCopyFileFormat: '22P04',
  untranslatableCharacter: '22P05',
  notNullViolation: '23502',
  uniqueViolation: '23505',
  checkViolation: '23514',
  invalidTransactionState: '25000',
  activeSqlTransaction: '25001',
  readOnlySqlTransaction: '25006',
  noActiveSqlTransaction: '25P01',
  inFailedSqlTransaction: '25P02',
  idleInTransactionSessionTimeout: '25P03',
  transactionTimeout: '25P04',
  invalidSqlStatementName: '26000',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  invalidSavepoint: '3B001',
  invalidCatalogName: '3D000',
  invalidCursorState: '24000',
  invalidCursorName: '34000',
  invalidSchemaName: '3F000',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  syntaxError: '42601',
  invalidName: '42602',
  duplicateColumn: '42701',
  ambiguousColumn: '42702',
  undefinedColumn: '42703',
  undefinedObject: '42704',
  duplicateObject: '42710',
  ambiguousAlias: '42P09',
  duplicateAlias: '42712',
  wrongObjectType: '42809',
  datatypeMismatch: '42804',
  substringError: '22011',
  arraySubscriptError: '2202E',
  generatedAlways: '428C9',
  cannotCoerce: '42846',
  indeterminateDatatype: '42P18',
  undefinedFunction: '42883',
  undefinedTable: '42P01',
  undefinedParameter: '42P02',
  duplicateCursor: '42P03',
  invalidCursorDefinition: '42P11',
  duplicateDatabase: '42P04',
  duplicateSchema: '42P06',
  duplicateTable: '42P07',
  duplicatePreparedStatement: '42P05',
  invalidColumnReference: '42P10',
  invalidTableDefinition: '42P16',
  invalidObjectDefinition: '42P17',
  insufficientPrivilege: '42501',
  reservedName: '42939',
  dependentObjectsStillExist: '2BP01',
  insufficientResources: '53000',
  diskFull: '53100',
  outOfMemory: '53200',
  tooManyConnections: '53300',
  programLimitExceeded: '54000',
  statementTooComplex: '54001',
  tooManyColumns: '54011',
  objectNotInPrerequisiteState: '55000',
  objectInUse: '55006',
  cantChangeRuntimeParam: '55P02',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
  idleSessionTimeout: '57P05',
  ioError: '58030',
  snapshotTooOld: '72000',
  internalError: 'XX000',
  dataCorrupted: 'XX001',
} as const;
export type SqlState = (typeof SqlState)[keyof typeof SqlState];

/** The optional fields of an ErrorResponse, by their protocol meaning. `position` counts characters from 1. */
export interface SqlErrorFields {
  readonly severity?: 'ERROR' | 'FATAL' | 'PANIC';
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: number;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  readonly cause?: unknown;
  /** Not for clients: the same request may succeed later, for what it needs is away only now. */
  readonly transient?: boolean;
}

/** An error that a client sees. Thrown anywhere; `wire/` turns it into an ErrorResponse. */
export class SqlError extends Error {
  readonly code: SqlState;
  readonly severity: 'ERROR' | 'FATAL' | 'PANIC';
  readonly fields: SqlErrorFields;

  constructor(code: SqlState, message: string, fields: SqlErrorFields = {}) {
    super(message, { cause: fields.cause });
    this.name = 'SqlError';
    this.code = code;
    this.severity = fields.severity ?? 'ERROR';
    this.fields = fields;
  }

  /** The same error with more fields, such as the line of a COPY; fields already set stay. */
  with(fields: SqlErrorFields): SqlError {
    return new SqlError(this.code, this.message, { ...fields, ...this.fields });
  }
}

/** Its position moved by so many characters; null: it counts in a text that nobody has written, and is left out. */
export function moved(error: unknown, by: number | null): unknown {
  if (!(error instanceof SqlError) || error.fields.position === undefined || by === 0) return error;
  const { position, ...fields } = error.fields;
  return new SqlError(error.code, error.message, by === null ? fields : { ...fields, position: position + by });
}

/** Our own bug. In `storage/` and `ingest/` it stops the process, and the log recovers. */
export class InvariantViolation extends Error {
  constructor(because: string) {
    super(`invariant violated: ${because}`);
    this.name = 'InvariantViolation';
  }
}

export function invariant(condition: unknown, because: string): asserts condition {
  if (!condition) throw new InvariantViolation(because);
}

export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${JSON.stringify(value)}`);
}

/** A stranger leaves as XX000; its text stays in the server's log, behind `cause`. */
export function toSqlError(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  return new SqlError(SqlState.internalError, 'internal error', { cause: error });
}

/** 0A000 that names what is missing. */
export function notSupported(what: string, fields: SqlErrorFields = {}): SqlError {
  return new SqlError(SqlState.featureNotSupported, `${what} is not supported`, fields);
}

/** 25P02: the block takes nothing but its end. */
export function inFailedTransaction(): SqlError {
  const message = 'current transaction is aborted, commands ignored until end of transaction block';
  return new SqlError(SqlState.inFailedSqlTransaction, message);
}

/** 57014: the client, or somebody for it, has asked for the statement's end. */
export function canceled(): SqlError {
  return new SqlError(SqlState.queryCanceled, 'canceling statement due to user request');
}

/** Errors cross threads as plain data: structured clone drops the class. */
export interface WireError {
  readonly code: SqlState;
  readonly message: string;
  readonly fields: SqlErrorFields;
}

export function packError(error: unknown): WireError {
  const known = toSqlError(error);
  const { cause, ...fields } = known.fields;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : undefined;
  return { code: known.code, message: known.message, fields: text === undefined ? fields : { ...fields, cause: text } };
}

export function unpackError(error: WireError): SqlError {
  return new SqlError(error.code, error.message, error.fields);
}
