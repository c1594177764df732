/** Statements about roles and rights as data. Roles and objects are called by name: they are looked for when it is carried out. */
import type { QualifiedName } from './plan.ts';

/** A role as it is written: CURRENT_USER and its like are somebody only in a session. */
export type RoleName =
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'current' | 'session' | 'public' };

/** What an option says; what is left out stays. */
export interface RoleSettings {
  readonly superuser?: boolean;
  readonly inherit?: boolean;
  readonly createRole?: boolean;
  readonly createDb?: boolean;
  readonly login?: boolean;
  readonly replication?: boolean;
  readonly bypassRls?: boolean;
  readonly connectionLimit?: number;
  /** As it was written: clear text or a verifier. Null: none any more. */
  readonly password?: string | null;
  /** As it was written; null: for ever. */
  readonly validUntil?: string | null;
}

/** What rights are on; `allIn`: every table or sequence that the schemas have now. */
export type RightsTarget =
  | { readonly kind: 'table' | 'sequence'; readonly names: readonly QualifiedName[] }
  | { readonly kind: 'table' | 'sequence'; readonly allIn: readonly string[] }
  | { readonly kind: 'schema' | 'database'; readonly names: readonly QualifiedName[] };

export type RoleStatement =
  | {
      readonly kind: 'createRole';
      readonly name: string;
      readonly settings: RoleSettings;
      readonly inRoles: readonly RoleName[];
      readonly members: readonly RoleName[];
      readonly admins: readonly RoleName[];
    }
  | { readonly kind: 'alterRole'; readonly role: RoleName; readonly settings: RoleSettings }
  | { readonly kind: 'renameRole'; readonly name: string; readonly newName: string }
  | { readonly kind: 'dropRole'; readonly names: readonly string[]; readonly ifExists: boolean }
  | {
      readonly kind: 'grantRole';
      readonly isGrant: boolean;
      readonly roles: readonly string[];
      readonly members: readonly RoleName[];
      /** WITH ADMIN OPTION, ADMIN OPTION FOR. */
      readonly admin: boolean;
    }
  | {
      readonly kind: 'grant';
      readonly isGrant: boolean;
      readonly target: RightsTarget;
      /** Null: ALL. */
      readonly privileges: readonly string[] | null;
      /** What is said of columns; `privilege` null: ALL. */
      readonly columns: readonly { readonly privilege: string | null; readonly names: readonly string[] }[];
      readonly grantees: readonly RoleName[];
      readonly option: boolean;
      readonly cascade: boolean;
    }
  /** ALTER ROLE, DATABASE … SET and RESET. */
  | {
      readonly kind: 'roleSetting';
      readonly tag: 'ALTER ROLE' | 'ALTER DATABASE';
      /** Null: ALL. */
      readonly role: RoleName | null;
      readonly database: string | null;
      /** Null: RESET ALL; `value` null: RESET. */
      readonly change: { readonly name: string; readonly value: string | null } | null;
    }
  | {
      readonly kind: 'defaultRights';
      readonly isGrant: boolean;
      readonly on: 'table' | 'sequence' | 'schema';
      /** Empty: the current user. */
      readonly roles: readonly RoleName[];
      readonly schemas: readonly string[];
      readonly privileges: readonly string[] | null;
      readonly grantees: readonly RoleName[];
      readonly option: boolean;
      readonly cascade: boolean;
    }
  | { readonly kind: 'reassignOwned'; readonly roles: readonly RoleName[]; readonly to: RoleName }
  | { readonly kind: 'dropOwned'; readonly roles: readonly RoleName[]; readonly cascade: boolean }
  | {
      readonly kind: 'owner';
      readonly object: 'table' | 'view' | 'sequence' | 'schema';
      readonly name: QualifiedName;
      readonly ifExists: boolean;
      readonly owner: RoleName;
    };
