/** CREATE, ALTER and DROP SEQUENCE carried out: names are looked up, what is missing or there already is said. */
import { SqlError, SqlState } from '../errors.ts';
import type { Sequence } from '../ingest/sequence.ts';
import { along, definitionsOf } from '../ingest/relations.ts';
import type { QualifiedName, Statement } from '../planner/plan.ts';
import { undefinedRelation, type DefineEnvironment } from './define.ts';
import { isTemporarySchema } from '../table-def.ts';
import { concernsViews, qualified, tryViews } from './define-view.ts';
import { changeSequence, makeSequence, nameSequence, removeSequences } from './schema.ts';

export type SequenceDefinition = Extract<
  Statement,
  { kind: 'createSequence' | 'alterSequence' | 'renameSequence' | 'dropSequence' }
>;

/** The command tag. @throws {SqlError} 42P01, 42P07, 42809, 22023, 2BP01 */
export async function defineSequence(environment: DefineEnvironment, statement: SequenceDefinition): Promise<string> {
  const { notice } = environment;
  switch (statement.kind) {
    case 'createSequence': {
      const made = await makeSequence(environment, statement, statement.options, statement.ifNotExists);
      if (made === null) notice(SqlState.duplicateTable, `relation "${statement.name}" already exists, skipping`);
      return 'CREATE SEQUENCE';
    }
    case 'alterSequence':
    case 'renameSequence': {
      const sequence = find(environment, statement.name);
      if (sequence !== undefined && statement.kind === 'renameSequence')
        await rename(environment, sequence, statement.to);
      else if (sequence !== undefined && statement.kind === 'alterSequence')
        await changeSequence(environment, sequence, statement.options);
      else if (statement.ifExists) notice('00000', `relation "${statement.name.name}" does not exist, skipping`);
      else throw undefinedRelation(statement.name);
      return statement.kind === 'renameSequence' ? statement.tag : 'ALTER SEQUENCE';
    }
    default: {
      const found: Sequence[] = [];
      for (const name of statement.names) {
        const sequence = find(environment, name);
        if (sequence !== undefined) found.push(sequence);
        else if (statement.ifExists) notice('00000', `sequence "${name.name}" does not exist, skipping`);
        else throw undefinedRelation(name, 'sequence');
      }
      if (concernsViews(statement, environment)) {
        const names = found.map(({ def }) => qualified(def)).join(', ');
        await tryViews(environment, `DROP SEQUENCE ${names} ${statement.cascade ? 'CASCADE' : 'RESTRICT'}`);
      }
      await removeSequences(environment, found, statement.cascade);
      return 'DROP SEQUENCE';
    }
  }
}

/** @throws {SqlError} 42P07, 3F000; 0A000 for one that goes with its table */
async function rename(
  environment: DefineEnvironment,
  sequence: Sequence,
  to: { readonly schema?: string; readonly name?: string },
): Promise<void> {
  const { relations } = environment;
  const { schema, name, owner } = relations.sequenceDefinition(sequence);
  if (to.schema !== undefined && owner !== null) {
    const table = definitionsOf(relations).find(({ uuid }) => uuid === owner.tableUuid);
    throw new SqlError(SqlState.featureNotSupported, 'cannot move an owned sequence into another schema', {
      detail: `Sequence "${name}" is linked to table "${table?.name ?? ''}".`,
    });
  }
  if (to.schema === schema) return;
  if (to.schema !== undefined && isTemporarySchema(schema))
    throw new SqlError(SqlState.featureNotSupported, 'cannot move objects into or out of temporary schemas');
  await nameSequence(environment, sequence, { schema, name, ...to });
}

/** @throws {SqlError} 42809 when it is a table */
function find({ relations, searchPath }: DefineEnvironment, { schema, name }: QualifiedName): Sequence | undefined {
  return along(searchPath, schema, (each) => {
    const sequence = relations.sequence(each, name);
    if (sequence === undefined && relations.table(each, name) !== undefined)
      throw new SqlError(SqlState.wrongObjectType, `"${name}" is not a sequence`, {
        hint: 'Use DROP TABLE to remove a table.',
      });
    return sequence;
  });
}
