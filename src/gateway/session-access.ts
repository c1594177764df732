/**
 * Who a session is, and what its transaction has changed of roles and rights.
 *
 * - P1 Changes are the transaction's own until it commits: they are made again then, on what all have by that time (R3).
 * - P2 A superuser is asked for nothing but a version: what was found for one state of the rights holds while it lasts.
 * - P3 A session is the role that it became, by its OID: renamed it stays that one, and another of the same name it never is.
 */
import { SqlError, SqlState } from '../errors.ts';
import { NO_RIGHTS, type WithRights } from '../ingest/commit-definitions.ts';
import { hasAll, schemaKey, tableKey } from '../rights/acl.ts';
import { mayBecome } from '../rights/change-roles.ts';
import type { RoleChange, Rights } from '../rights/rights.ts';
import { Privilege } from '../rights/privileges.ts';
import { type Role, roleNamed, roleOf, type RoleState } from '../rights/roles.ts';
import type { TableDef } from '../table-def.ts';
import type { SessionSettings } from './settings.ts';

export class SessionAccess {
  readonly #rights: Rights;
  readonly #settings: SessionSettings;
  /** Who logged in: his name may be another one since. */
  readonly #login: number;
  /** Whom the names are that the session's settings have had. */
  readonly #oids = new Map<string, number>();
  #changes: RoleChange[] = [];
  /** With the changes; null: to be made. */
  #state: RoleState | null = null;
  #version = 0;
  #user = '';
  #role: Role | null = null;
  #superuser = false;
  /** Rises when somebody else may be asked, or something else answered. */
  #generation = 0;

  constructor(rights: Rights, settings: SessionSettings) {
    this.#rights = rights;
    this.#settings = settings;
    const { name, oid } = roleNamed(rights.state, settings.get('session_authorization')!);
    this.#login = oid;
    this.#oids.set(name, oid);
  }

  /** As the transaction sees it. */
  get state(): RoleState {
    this.#look();
    return this.#state!;
  }

  /** current_user. @throws {SqlError} 42704 when it was dropped */
  get role(): Role {
    this.#look();
    if (this.#role === null) throw new SqlError(SqlState.undefinedObject, `role "${this.#user}" does not exist`);
    return this.#role;
  }

  /** The same; null when it was dropped: then a transaction can still be ended. */
  get present(): Role | null {
    this.#look();
    return this.#role;
  }

  /** P2 */
  get superuser(): boolean {
    this.#look();
    return this.#superuser;
  }

  /** What is there is the session's, whoever it is now, and nobody else's. */
  isTemporary(schema: string): boolean {
    return schema === this.#settings.temporarySchema;
  }

  /** Whether the session may read a table. */
  reads({ schema, uuid }: TableDef): boolean {
    if (this.isTemporary(schema)) return true;
    const { role, state } = this;
    const inSchema = hasAll(state, role, 'schema', schemaKey(schema), Privilege.usage);
    return inSchema && hasAll(state, role, 'table', tableKey(uuid), Privilege.select);
  }

  /** The transaction has changes of its own. */
  get changed(): boolean {
    return this.#changes.length > 0;
  }

  get generation(): number {
    this.#look();
    return this.#generation;
  }

  /** By the name that the role has now. */
  get sessionUser(): string {
    const name = this.#settings.get('session_authorization')!;
    return this.#named(this.state, name)?.name ?? name;
  }

  /** The same, of a role that may be gone. */
  get currentUser(): string {
    this.#look();
    return this.#role?.name ?? this.#user;
  }

  /** For a role to be made: nobody else's, also where its transaction does not commit. */
  takeOid(): number {
    return this.#rights.takeOid();
  }

  #look(): void {
    const user = this.#settings.currentUser;
    if (this.#state !== null && this.#version === this.#rights.version && this.#user === user) return;
    const { version } = this.#rights;
    const state = this.#applied();
    this.#state = state;
    this.#version = version;
    this.#user = user;
    this.#role = this.#named(state, user);
    this.#superuser = this.#role?.superuser === true;
    this.#settings.follows('is_superuser', this.#superuser ? 'on' : 'off');
    this.#generation++;
  }

  /** P3. Null: the role was dropped. */
  #named(state: RoleState, name: string): Role | null {
    const oid = this.#oids.get(name);
    return (oid === undefined ? undefined : roleOf(state, oid)) ?? null;
  }

  /** @throws {SqlError} once, where others have made the changes impossible: the transaction fails by it */
  #applied(): RoleState {
    const changes = this.#changes;
    try {
      return changes.reduce((state, change) => change(state), this.#rights.state);
    } catch (error) {
      this.#changes = [];
      throw error;
    }
  }

  /** Makes a change, for now the transaction's own. @throws {SqlError} what it throws */
  change(change: RoleChange): void {
    const next = change(this.state);
    if (next === this.#state) return;
    this.#changes.push(change);
    this.#state = null;
  }

  /** Where a savepoint stands. */
  mark(): number {
    return this.#changes.length;
  }

  rollbackTo(mark: number): void {
    if (this.#changes.length <= mark) return;
    this.#changes.length = mark;
    this.#state = null;
  }

  /** At COMMIT: the changes are all's, and durable; null: there are none. @throws {SqlError} what they throw by now */
  settled(): Promise<void> | null {
    return this.#changes.length === 0 ? null : this.#rights.change(this.#taken());
  }

  /** The same of a transaction with definitions: they become durable by what stores these. */
  withDefinitions(): WithRights {
    if (this.#changes.length === 0) return NO_RIGHTS;
    const change = this.#taken();
    return (store) => this.#rights.changeWith(change, store);
  }

  #taken(): RoleChange {
    const changes = this.#changes;
    this.#changes = [];
    this.#state = null;
    return (state) => changes.reduce((before, change) => change(before), state);
  }

  /** Before SET ROLE and SET SESSION AUTHORIZATION; the name as it is written. @throws {SqlError} 22023, 42501 */
  refuse(setting: 'role' | 'session_authorization', name: string): void {
    const { state } = this;
    const role = state.roles.get(name);
    if (role === undefined) throw new SqlError(SqlState.invalidParameterValue, `role "${name}" does not exist`);
    if (setting === 'role') {
      const session = this.#named(state, this.#settings.get('session_authorization')!);
      if (session === null || !mayBecome(state, session.oid, role))
        throw new SqlError(SqlState.insufficientPrivilege, `permission denied to set role "${name}"`);
    } else {
      const login = roleOf(state, this.#login);
      if (login?.superuser !== true && role.oid !== this.#login)
        throw new SqlError(SqlState.insufficientPrivilege, 'permission denied to set session authorization');
    }
    if (this.#oids.get(name) === role.oid) return;
    this.#oids.set(name, role.oid);
    this.#state = null;
  }
}
