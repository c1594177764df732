import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SqlError } from '../../src/errors.ts';
import { aclOf, changeGrant, privilegesOf, rightsOf, tableKey, withOwner } from '../../src/rights/acl.ts';
import { addMember, createRole, removeMember } from '../../src/rights/change-roles.ts';
import { ALL_OF, Privilege } from '../../src/rights/privileges.ts';
import { Rights } from '../../src/rights/rights.ts';
import { fromJson, newState, PUBLIC, roleNamed, rolesOf, type RoleState, toJson } from '../../src/rights/roles.ts';
import { readRoles, writeRoles } from '../../src/storage/disk/roles-file.ts';

const NAMES = ['a', 'b', 'c', 'd'];
const KEY = tableKey('t');

function fourRoles(): RoleState {
  let state = newState('arka', '');
  for (const name of NAMES) state = createRole(state, roleNamed(state, 'arka'), name, state.nextOid, {});
  return withOwner(state, KEY, roleNamed(state, 'a').oid);
}

type Step = (state: RoleState) => RoleState;
const name = fc.constantFrom(...NAMES);
const bits = fc.integer({ min: 1, max: ALL_OF.table });
const flag = fc.boolean();
const grants: fc.Arbitrary<Step> = fc
  .tuple(name, fc.option(name), bits, flag, flag, flag)
  .map(([by, grantee, privileges, isGrant, option, cascade]) => (state) => {
    const grantees = [grantee === null ? PUBLIC : roleNamed(state, grantee).oid];
    const change = { kind: 'table', key: KEY, name: 't', isGrant, privileges, all: false, grantees, option, cascade };
    return changeGrant(state, roleNamed(state, by), change as Parameters<typeof changeGrant>[2]).state;
  });
const owners: fc.Arbitrary<Step> = name.map((to) => (state) => withOwner(state, KEY, roleNamed(state, to).oid));
const members: fc.Arbitrary<Step> = fc.tuple(name, name, flag).map(([role, member, add]) => (state) => {
  const by = roleNamed(state, 'arka');
  const change = { role, member, admin: false };
  return add ? addMember(state, by, change, () => {}) : removeMember(state, by, change, () => {});
});
const steps = fc.array(fc.oneof({ arbitrary: grants, weight: 6 }, owners, members), { maxLength: 25 });

/** What a step refuses leaves all as it was. */
function after(list: readonly Step[]): RoleState {
  return list.reduce((state, step) => {
    try {
      return step(state);
    } catch (error) {
      expect(error).toBeInstanceOf(SqlError);
      return state;
    }
  }, fourRoles());
}

test('C1: whoever has granted something has the option to, whatever was granted and revoked; and it reaches back to the owner', () => {
  fc.assert(
    fc.property(fc.array(grants, { maxLength: 25 }), (list) => {
      const state = after(list);
      const acl = aclOf(state, 'table', KEY);
      const { owner } = rightsOf(state, KEY);
      for (let bit = 1; bit <= ALL_OF.table; bit <<= 1) {
        const able = new Set([owner]);
        for (const oid of able)
          for (const item of acl) if (item.grantor === oid && (item.options & bit) !== 0) able.add(item.grantee);
        for (const { grantor, privileges } of acl) if ((privileges & bit) !== 0) expect(able).toContain(grantor);
      }
      for (const { options, privileges } of acl) expect(options & ~privileges).toBe(0);
    }),
  );
});

test('C2: a role may do what it, PUBLIC or a role that it is in may do, and memberships have no circle', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const state = after(list);
      for (const each of NAMES) {
        const role = roleNamed(state, each);
        const own = rolesOf(state, role.oid, true);
        const expected = aclOf(state, 'table', KEY)
          .filter(({ grantee }) => grantee === PUBLIC || own.has(grantee))
          .reduce((sum, { privileges }) => sum | privileges, 0);
        expect(privilegesOf(state, role, 'table', KEY)).toBe(expected);
        for (const { member, role: of } of state.memberships)
          if (member === role.oid) expect(rolesOf(state, of, false).has(role.oid)).toBe(false);
      }
      expect(fromJson(toJson(state))).toEqual(state);
    }),
  );
});

test('an option is not granted back to whom it came from', () => {
  let state = fourRoles();
  const give = (by: string, to: string): void => {
    const change = {
      kind: 'table',
      key: KEY,
      name: 't',
      isGrant: true,
      all: false,
      option: true,
      cascade: false,
    } as const;
    const grantees = [roleNamed(state, to).oid];
    state = changeGrant(state, roleNamed(state, by), { ...change, privileges: Privilege.select, grantees }).state;
  };
  give('a', 'b');
  give('b', 'c');
  expect(() => give('c', 'b')).toThrow('grant options cannot be granted back to your own grantor');
});

test('F1: roles are stored for their owner alone, and a file with a byte changed is XX001, never another set of roles', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'arka-roles-'));
  expect(await readRoles(dir)).toBeNull();
  const rights = await Rights.open({
    stored: null,
    store: (text) => writeRoles(dir, text),
    user: 'arka',
    password: 'pencil',
  });
  const stored = await readRoles(dir);
  expect(fromJson(stored!)).toEqual(rights.state);
  expect(stored).not.toContain('pencil');
  const path = join(dir, 'roles');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const bytes = await readFile(path);
  for (let at = 0; at < bytes.length; at += 7) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1;
    await writeFile(path, damaged);
    await expect(readRoles(dir)).rejects.toMatchObject({ code: 'XX001' });
  }
  await rm(dir, { recursive: true });
});

test('R3: changes take turns; one that fails, or cannot be stored, leaves all as it was', async () => {
  let full = false;
  const texts: string[] = [];
  const rights = await Rights.open({
    stored: null,
    store: async (text) => {
      await Promise.resolve();
      if (full) throw new SqlError('53100', 'full');
      texts.push(text);
    },
    user: 'arka',
    password: '',
  });
  const make = (role: string): Promise<void> =>
    rights.change((state) => createRole(state, roleNamed(state, 'arka'), role, rights.takeOid(), {}));
  const made = await Promise.allSettled([make('x'), make('x'), make('y')]);
  expect(made.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  full = true;
  await expect(make('z')).rejects.toMatchObject({ code: '53100' });
  expect([...rights.state.roles.keys()]).toEqual(['arka', 'x', 'y']);
  expect(fromJson(texts.at(-1)!)).toEqual(rights.state);
});

test('R1: the superuser of the settings keeps its OID under another name, and its password is that of the settings', async () => {
  let stored = '';
  const open = (user: string, password: string): Promise<Rights> =>
    Rights.open({ stored: stored === '' ? null : stored, store: async (text) => void (stored = text), user, password });
  const first = await open('arka', 'one');
  const { salt } = first.credential('arka', 0).verifier;
  const same = await open('arka', 'one');
  expect(same.credential('arka', 0).verifier.salt).toEqual(salt);
  const other = await open('boss', '');
  expect(other.state.roles.get('boss')).toMatchObject({ oid: 10, superuser: true });
  expect(other.state.roles.has('arka')).toBe(false);
  expect(other.credential('boss', 0)).toMatchObject({ doomed: false, verifier: { salt } });
  expect(other.credential('nobody', 0).verifier.salt).toEqual(
    (await open('boss', '')).credential('nobody', 0).verifier.salt,
  );
});
