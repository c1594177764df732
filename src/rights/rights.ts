/**
 * The roles and rights of a server as they are now, and the way to change them.
 *
 * - R3 A change is durable before anybody sees it; changes take turns. One that cannot be applied leaves all as it was.
 * - R4 `version` rises with each change: what was checked under another is checked again.
 * - R5 An OID is given to one role only, also where it was never made.
 */
import { randomBytes } from 'node:crypto';
import { SqlError, SqlState } from '../errors.ts';
import { makeVerifier, parseVerifier, standInVerifier, type Verifier, verifierText } from '../scram.ts';
import { FIRST_SUPERUSER, fromJson, newState, roleOf, type Role, type RoleState, toJson } from './roles.ts';

export type RoleChange = (state: RoleState) => RoleState;

export interface RightsOptions {
  /** What was stored last; null: nothing yet. */
  readonly stored: string | null;
  readonly store: (text: string) => Promise<void>;
  /** The first superuser. */
  readonly user: string;
  /** In clear text, or its verifier; empty: as it was stored. */
  readonly password: string;
}

export class Rights {
  version = 1;
  /** A change has been made. */
  onChange: () => void = () => {};
  #state: RoleState;
  readonly #store: (text: string) => Promise<void>;
  #turn: Promise<void> = Promise.resolve();
  #nextOid = 0;

  constructor(state: RoleState, store: (text: string) => Promise<void>) {
    this.#state = state;
    this.#store = store;
  }

  static async open({ password, store, stored, user }: RightsOptions): Promise<Rights> {
    const before = stored === null ? newState(user, randomBytes(32).toString('base64')) : fromJson(stored);
    const state = await withFirst(before, user, password);
    if (toJson(state) !== stored) await store(toJson(state));
    return new Rights(state, store);
  }

  get state(): RoleState {
    return this.#state;
  }

  /** Of a role to be made: given once, so that what a transaction grants to it is never another's. */
  takeOid(): number {
    this.#nextOid = Math.max(this.#nextOid, this.#state.nextOid);
    return this.#nextOid++;
  }

  /** R3. @throws {SqlError} what `change` throws, or 58030, 53100 */
  change(change: RoleChange): Promise<void> {
    return this.changeWith(change, (text) => (text === null ? Promise.resolve() : this.#store(text)));
  }

  /**
   * A change that becomes durable together with what `store` stores, which is told its text; null: nothing changes.
   * @throws {SqlError} what `change` or `store` throws
   */
  changeWith<T>(change: RoleChange, store: (text: string | null) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      const next = change(this.#state);
      const isSame = next === this.#state;
      const stored = await store(isSame ? null : toJson(next));
      if (isSame) return stored;
      this.#state = next;
      this.version++;
      this.onChange();
      return stored;
    });
    this.#turn = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  /** What a client of that name must prove; `doomed`: whatever it proves (A2). */
  credential(name: string, now: number): { readonly verifier: Verifier; readonly doomed: boolean } {
    const role = this.#state.roles.get(name);
    const verifier = role?.password === undefined || role.password === null ? null : parseVerifier(role.password);
    const expired = role !== undefined && role.validUntil !== null && role.validUntil < now;
    if (verifier === null || expired)
      return { verifier: standInVerifier(name, Buffer.from(this.#state.secret, 'base64')), doomed: true };
    return { verifier, doomed: false };
  }
}

/** R1: the settings' superuser, under their name and with their password. */
async function withFirst(state: RoleState, user: string, password: string): Promise<RoleState> {
  const first = roleOf(state, FIRST_SUPERUSER) ?? newState(user, '').roles.get(user)!;
  const held = first.password === null ? null : parseVerifier(first.password);
  let next: Role = { ...first, superuser: true, login: true };
  if (password !== '') next = { ...next, password: await passwordText(password, held) };
  if (first.name !== user) {
    const other = state.roles.get(user);
    if (other !== undefined)
      throw new SqlError(
        SqlState.duplicateObject,
        `auth.user ${user} is another role already, "${first.name}" is the first superuser`,
      );
    next = { ...next, name: user };
  }
  const roles = new Map(
    [...state.roles].map(([name, role]) => (role.oid === FIRST_SUPERUSER ? [user, next] : [name, role])),
  );
  return { ...state, roles };
}

/** The verifier's text for a password as it was given: one that fits already stays. */
export async function passwordText(given: string, held: Verifier | null = null): Promise<string> {
  if (parseVerifier(given) !== null) return given;
  if (held !== null) {
    const again = verifierText(await makeVerifier(given, held.salt));
    if (again === verifierText(held)) return again;
  }
  return verifierText(await makeVerifier(given));
}
