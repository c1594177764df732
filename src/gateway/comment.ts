/** COMMENT ON carried out: those of tables are part of their definitions, the others stand beside them. */
import { SqlError, SqlState } from '../errors.ts';
import { along, indexedTable, keyedTable, relationNamed } from '../ingest/relations.ts';
import { commentOnIndex } from '../planner/comment.ts';
import type { Statement } from '../planner/plan.ts';
import { alter } from './alter.ts';
import type { DefineEnvironment } from './define.ts';
import { tryViews } from './define-view.ts';

export type CommentStatement = Extract<Statement, { kind: 'comment' | 'commentOnIndex' | 'commentOnShared' }>;

/** The command tag. @throws {SqlError} 42P01, 42703, 42704, 3F000, 3D000 */
export async function comment(environment: DefineEnvironment, statement: CommentStatement): Promise<string> {
  const { changes, relations, searchPath } = environment;
  switch (statement.kind) {
    case 'comment':
      await alter(environment, statement.statement);
      return 'COMMENT';
    case 'commentOnIndex': {
      const { schema, name } = statement.index;
      const table = along(searchPath, schema, (each) => {
        const found = indexedTable(relations, each, name) ?? keyedTable(relations, each, name);
        if (found === undefined && relationNamed(relations, each, name) !== null)
          throw new SqlError(SqlState.wrongObjectType, `"${name}" is not an index`);
        return found;
      });
      if (table === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${name}" does not exist`);
      await alter(environment, commentOnIndex(relations.definition(table), name, statement.comment));
      return 'COMMENT';
    }
    default:
      await tryViews(environment, statement.sql); // PostgreSQL says whether it is there
      changes.setComment(statement.key, statement.comment);
      return 'COMMENT';
  }
}
