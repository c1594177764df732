/**
 * Who a session is, and what its transaction has changed of roles and rights.
 *
 * - P1 Changes are the transaction's own until it commits: they are made again then, on what all have by that time (R3).
 * - P2 A superuser is asked for nothing but a version: what was found for one state of the rights holds while it lasts.
 */
import { SqlError, SqlState } from '../errors.ts';
import { mayBecome } from '../rights/change-roles.ts';
import type { RoleChange, Rights } from '../rights/rights.ts';
import { type Role, roleNamed, roleOf, type RoleState } from '../rights/roles.ts';
import type { SessionSettings } from './settings.ts';

export class SessionAccess {
  readonly #rights: Rights;
  readonly #settings: SessionSettings;
  /** Who logged in: his name may be another one since. */
  readonly #login: number;
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
    this.#login = roleNamed(rights.state, settings.get('session_authorization')!).oid;
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

  /** P2 */
  get superuser(): boolean {
    this.#look();
    return this.#superuser;
  }

  /** The transaction has changes of its own. */
  get changed(): boolean {
    return this.#changes.length > 0;
  }

  get generation(): number {
    this.#look();
    return this.#generation;
  }

  get sessionUser(): string {
    return this.#settings.get('session_authorization')!;
  }

  get currentUser(): string {
    return this.#settings.currentUser;
  }

  #look(): void {
    const user = this.#settings.currentUser;
    if (this.#state !== null && this.#version === this.#rights.version && this.#user === user) return;
    const { version } = this.#rights;
    const state = this.#applied();
    this.#state = state;
    this.#version = version;
    this.#user = user;
    this.#role = state.roles.get(user) ?? null;
    this.#superuser = this.#role?.superuser === true;
    this.#settings.follows('is_superuser', this.#superuser ? 'on' : 'off');
    this.#generation++;
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
    if (this.#changes.length === 0) return null;
    const changes = this.#changes;
    this.#changes = [];
    this.#state = null;
    return this.#rights.change((state) => changes.reduce((before, change) => change(before), state));
  }

  /** Before SET ROLE and SET SESSION AUTHORIZATION; the name as it is written. @throws {SqlError} 22023, 42501 */
  refuse(setting: 'role' | 'session_authorization', name: string): void {
    const { state } = this;
    const role = state.roles.get(name);
    if (role === undefined) throw new SqlError(SqlState.invalidParameterValue, `role "${name}" does not exist`);
    if (setting === 'role') {
      const session = state.roles.get(this.sessionUser);
      if (session !== undefined && mayBecome(state, session.oid, role)) return;
      throw new SqlError(SqlState.insufficientPrivilege, `permission denied to set role "${name}"`);
    }
    const login = roleOf(state, this.#login);
    if (login?.superuser === true || role.oid === this.#login) return;
    throw new SqlError(SqlState.insufficientPrivilege, 'permission denied to set session authorization');
  }
}
