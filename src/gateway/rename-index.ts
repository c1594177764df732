/** ALTER INDEX … RENAME TO: of an index, and of a primary key's, whose constraint has the name, too; always part of a transaction's definitions. */
import { invariant, notSupported } from '../errors.ts';
import { holdToAlter } from '../ingest/alter-within.ts';
import { indexedTable, keyedTable, refuseName } from '../ingest/relations.ts';
import type { Statement } from '../planner/plan.ts';
import { alter, rename } from './alter.ts';
import { relationOf, undefinedRelation, type DefineEnvironment } from './define.ts';
import { ofName } from './schema.ts';

/** The command tag. @throws {SqlError} 42P01, 42P07, 0A000 */
export async function renameIndex(
  environment: DefineEnvironment,
  { ifExists, index, to }: Extract<Statement, { kind: 'renameIndex' }>,
): Promise<string> {
  const { changes, database, notice, patience, relations } = environment;
  invariant(changes !== null, 'a new name is a transaction’s');
  const { name } = index;
  const found = relationOf(environment, index);
  if (found === null) {
    if (!ifExists) throw undefinedRelation(index);
    notice('00000', `relation "${name}" does not exist, skipping`);
    return 'ALTER INDEX';
  }
  const { kind, schema } = found;
  switch (kind) {
    case 'index': {
      const table = indexedTable(relations, schema, name)!;
      await changes.lock([ofName(schema, to)], patience);
      await holdToAlter({ database, changes, patience }, table);
      refuseName(relations, found, { schema, name: to });
      changes.renameIndex(table, name, to);
      return 'ALTER INDEX';
    }
    case 'key': {
      refuseName(relations, found, { schema, name: to });
      const table = relations.definition(keyedTable(relations, schema, name)!);
      const command = { kind: 'renameConstraint', name, to } as const;
      await alter(environment, { kind: 'alterTable', table, ifExists: false, commands: [command] });
      return 'ALTER INDEX';
    }
    case 'table':
      // PostgreSQL renames whatever has the name.
      await rename(environment, { kind: 'renameTable', table: { schema, name }, ifExists: false, to: { name: to } });
      return 'ALTER INDEX';
    default:
      throw notSupported(`ALTER INDEX of a ${kind}`, { hint: `Use ALTER ${kind.toUpperCase()}.` });
  }
}
