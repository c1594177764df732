/**
 * CREATE, DROP and ALTER VIEW. What they mean PostgreSQL says itself, over the definitions that it has (catalog/view-trial.ts):
 * a statement goes there as it was written. What Arka could not keep is refused here.
 */
import type { AlterObjectSchemaStmt, AlterTableStmt, DropStmt, Node, RenameStmt, ViewStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { tagOf, walk } from './ast.ts';
import type { CatalogView, Statement } from './plan.ts';
import { creationSchema, findView, refuseSystemSchema } from './schema-names.ts';
import { temporaryView } from './temporary-view.ts';
import { qualifiedName } from './utility.ts';

type DefineView = Extract<Statement, { kind: 'defineView' }>;

/** A statement about views, or about a view where it says TABLE; null: another one. @throws {SqlError} 0A000, 42501, 3F000 */
export function planDefineView(node: Node, text: string, view: CatalogView): DefineView | null {
  if ('ViewStmt' in node) return planCreateView(node.ViewStmt, text, view);
  if ('DropStmt' in node) return planDropView(node.DropStmt, text);
  if ('RenameStmt' in node) return planRenameView(node.RenameStmt, text, view);
  if ('AlterObjectSchemaStmt' in node) return planMoveView(node.AlterObjectSchemaStmt, text, view);
  if ('AlterTableStmt' in node) return planAlterView(node.AlterTableStmt, text, view);
  return null;
}

function planCreateView(statement: ViewStmt, text: string, view: CatalogView): DefineView {
  const relation = statement.view ?? {};
  const schema = creationSchema(relation, view, 'view'); // a system schema takes none
  walk(statement.query, (tag, body) => {
    if (tag !== 'SelectStmt' || body['intoClause'] === undefined) return;
    throw new SqlError(SqlState.featureNotSupported, 'views must not contain SELECT INTO');
  });
  return { kind: 'defineView', tag: 'CREATE VIEW', ...temporaryView(statement, text, schema, view) };
}

function planDropView({ removeType, objects = [] }: DropStmt, text: string): DefineView | null {
  if (removeType !== 'OBJECT_VIEW') return null;
  for (const { schema } of objects.map(qualifiedName)) if (schema !== null) refuseSystemSchema(schema);
  return { kind: 'defineView', tag: 'DROP VIEW', sql: text };
}

function planRenameView(statement: RenameStmt, text: string, view: CatalogView): DefineView | null {
  const { relation = {}, relationType, renameType } = statement;
  const isView = renameType === 'OBJECT_VIEW' || (renameType === 'OBJECT_COLUMN' && relationType === 'OBJECT_VIEW');
  const isTable = renameType === 'OBJECT_TABLE' || (renameType === 'OBJECT_COLUMN' && relationType === 'OBJECT_TABLE');
  if (!isView && !(isTable && findView(relation, view) !== undefined)) return null;
  refuseSystem(relation.schemaname);
  return { kind: 'defineView', tag: isView ? 'ALTER VIEW' : 'ALTER TABLE', sql: text };
}

function planMoveView(statement: AlterObjectSchemaStmt, text: string, view: CatalogView): DefineView | null {
  const { newschema = '', objectType, relation = {} } = statement;
  const isView = objectType === 'OBJECT_VIEW';
  if (!isView && !(objectType === 'OBJECT_TABLE' && findView(relation, view) !== undefined)) return null;
  refuseSystem(relation.schemaname);
  refuseSystemSchema(newschema);
  return { kind: 'defineView', tag: isView ? 'ALTER VIEW' : 'ALTER TABLE', sql: text };
}

/** ALTER VIEW … SET and RESET; defaults of a view's columns are not kept. */
function planAlterView(statement: AlterTableStmt, text: string, view: CatalogView): DefineView | null {
  const { cmds = [], objtype, relation = {} } = statement;
  const isView = objtype === 'OBJECT_VIEW';
  if (!isView && (objtype !== 'OBJECT_TABLE' || findView(relation, view) === undefined)) return null;
  refuseSystem(relation.schemaname);
  for (const node of cmds) {
    const subtype = 'AlterTableCmd' in node ? (node.AlterTableCmd.subtype ?? '') : tagOf(node);
    if (subtype === 'AT_SetRelOptions' || subtype === 'AT_ResetRelOptions') continue;
    if (!isView)
      throw new SqlError(
        SqlState.wrongObjectType,
        `ALTER action ${subtype
          .replace('AT_', '')
          .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
          .toUpperCase()} cannot be performed on relation "${relation.relname}"`,
        { detail: 'This operation is not supported for views.' },
      );
    throw notSupported(subtype === 'AT_ColumnDefault' ? 'a default of a view’s column' : `ALTER VIEW (${subtype})`);
  }
  return { kind: 'defineView', tag: isView ? 'ALTER VIEW' : 'ALTER TABLE', sql: text };
}

function refuseSystem(schema: string | undefined): void {
  if (schema !== undefined && schema !== '') refuseSystemSchema(schema);
}
