/** The Query message: its statements one after another, outside a block as one implicit transaction. */
import { admitted } from './admission.ts';
import { describedColumns } from './columns.ts';
import { instantAnswer, mayBeInstant, sendAnswer } from './instant.ts';
import { headEnd, insertHead, type InsertHead } from '../planner/insert-head.ts';
import { parseSql } from '../planner/parse.ts';
import type { ParsedStatement, Statement } from '../planner/plan.ts';
import type { MaybePromise, Output } from '../wire/gateway-api.ts';
import { decodeUtf8 } from '../wire/message-body.ts';
import type { Interruption } from './interruption.ts';
import { prepareSimple } from './prepare.ts';
import { insertText } from './insert.ts';
import { mayInsert } from './permission.ts';
import type { TableDef } from '../table-def.ts';
import { inTransaction } from './transaction-statements.ts';
import type { WriteEnvironment } from './write-environment.ts';
import { NO_FORMATS, NO_PARAMETERS } from './no-parameters.ts';
import type { SessionStatements } from './statements.ts';
import { withOwnSchema } from './temporary.ts';
import type { SessionTransaction } from './transaction.ts';

export class SimpleQuery {
  readonly #statements: SessionStatements;
  readonly #transaction: SessionTransaction;
  readonly #interruption: Interruption;

  constructor(statements: SessionStatements) {
    this.#statements = statements;
    this.#transaction = statements.transaction;
    this.#interruption = statements.interruption;
  }

  async text(text: string, out: Output): Promise<void> {
    this.#statements.messageComes();
    this.#statements.activity.runs(text);
    try {
      const statements = parseSql(withOwnSchema(text, this.#statements));
      if (statements.length === 0) out.emptyQuery();
      this.#statements.several = statements.length > 1;
      for (let i = 0; i < statements.length; i++)
        await this.#simpleStatement(statements[i]!, i === statements.length - 1, out);
    } catch (error) {
      this.#transaction.fail();
      throw error;
    } finally {
      this.#statements.several = false;
      this.#interruption.idle(this.#transaction.inBlock);
    }
  }

  bytes(sql: Uint8Array, out: Output): MaybePromise<void> | null {
    this.#statements.messageComes();
    const at = headEnd(sql);
    const { failed, lacksSnapshot } = this.#transaction;
    const refused =
      failed || lacksSnapshot || this.#statements.settings.readOnly || this.#statements.context.database.locks.busy;
    const head = at < 0 || refused ? null : insertHead(sql, at);
    if (head === null) return null;
    this.#statements.activity.runsBytes(sql);
    return this.#simpleInsert(head, sql, at, out);
  }

  async #simpleInsert(head: InsertHead, sql: Uint8Array, at: number, out: Output): Promise<void> {
    try {
      const { database } = this.#statements.context;
      this.#interruption.begin();
      this.#transaction.enter(null);
      const { running } = this.#interruption;
      if (database.pressed) await this.#interruption.guarded(() => admitted(database, running));
      const environment = (): WriteEnvironment => this.#statements.writeEnvironment(NO_PARAMETERS, []);
      const pending = insertText(head, sql, at, this.#statements.view(), this.#planText, environment, this.#permitted);
      if (pending !== null) {
        const tag = pending instanceof Promise ? await this.#interruption.guarded(() => pending) : pending;
        if (!this.#transaction.inBlock) await this.#transaction.commitNow();
        this.#interruption.idle(this.#transaction.inBlock);
        out.commandComplete(tag);
        return;
      }
    } catch (error) {
      this.#transaction.fail();
      this.#interruption.idle(this.#transaction.inBlock);
      throw error;
    }
    await this.text(decodeUtf8(sql, 0, sql.length), out);
  }

  readonly #permitted = (def: TableDef, conflict: boolean): boolean =>
    mayInsert(this.#statements.access, def, conflict);

  /** A text of one statement. */
  readonly #planText = (text: string): Statement | null => {
    const [parsed, ...rest] = parseSql(text);
    return parsed === undefined || rest.length > 0 ? null : this.#statements.plan(parsed, []);
  };

  async #simpleStatement(parsed: ParsedStatement, last: boolean, out: Output): Promise<void> {
    this.#transaction.check(parsed, this.#statements.several);
    const statement = await this.#statements.held(() => this.#statements.plan(parsed, []));
    if (statement.kind === 'empty') {
      out.emptyQuery();
      return;
    }
    this.#statements.position = parsed.position;
    const prepared = await prepareSimple(this.#statements.preparation(), parsed, statement);
    const columns = prepared?.columns ?? null;
    if (!inTransaction(statement)) this.#statements.enter(statement);
    if (columns !== null) out.rowDescription(columns, NO_FORMATS);
    const answer = columns === null ? null : { columns, formats: NO_FORMATS, out };
    const sent = this.#answer(statement, out);
    const tag =
      sent === null
        ? await this.#statements.run(prepared?.statement ?? statement, NO_PARAMETERS, [], out, false, answer)
        : sent instanceof Promise
          ? await this.#interruption.guarded(() => sent)
          : sent;
    if (last && !this.#transaction.inBlock) await this.#transaction.commitNow();
    out.commandComplete(tag);
  }

  /** The tag, where its rows are there at once; null: it has to wait for something. */
  #answer(statement: Statement, out: Output): MaybePromise<string> | null {
    if (statement.kind !== 'query' || !mayBeInstant(statement)) return null;
    if (statement.plan.described === null || this.#transaction.lacksSnapshot) return null;
    const columns = describedColumns(statement.plan);
    const environment = this.#statements.pointEnvironment();
    const answer = instantAnswer(environment, statement, NO_PARAMETERS, [], columns, NO_FORMATS);
    if (answer === null) return null;
    out.rowDescription(columns, NO_FORMATS);
    return sendAnswer(answer, out);
  }
}
