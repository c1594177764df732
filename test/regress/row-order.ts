/**
 * Whether an answer hangs on how the rows lie: PostgreSQL is asked again while those of the statement's tables lie otherwise.
 *
 * - R6 Only another answer of PostgreSQL itself says so; all is rolled back, also what the statement did.
 */
import type { Outcome, Session, Step } from '../differential/wire.ts';
import { verdictOf } from './verdict.ts';

const ORDERS = 6;

export async function hangsOnOrder(oracle: Session, sql: string, step: Step, answer: Outcome): Promise<boolean> {
  if (answer.error !== null || !/^\s*(?:select|with|table|\()/i.test(sql.replaceAll(/--[^\n]*/g, ''))) return false;
  const words = new Set(sql.toLowerCase().match(/[a-z_]\w*/g) ?? []);
  const isOpen = answer.status === 'T';
  await oracle.run(isOpen ? 'SAVEPOINT row_order' : 'BEGIN');
  try {
    const tables = await oracle.run(
      `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relnamespace <> 'pg_catalog'::regnamespace AND relname IN (${[...words].map((word) => `'${word}'`).join(', ')})`,
    );
    if (tables.rows.length === 0) return false;
    for (let order = 0; order < ORDERS; order++) {
      for (const [table] of tables.rows) {
        const moved = await oracle.run(
          `CREATE TEMP TABLE moved_rows AS SELECT * FROM ${table!}; DELETE FROM ${table!};
           INSERT INTO ${table!} SELECT * FROM moved_rows ORDER BY md5('${order}' || moved_rows::text); DROP TABLE moved_rows`,
        );
        if (moved.error !== null) return false;
      }
      const again = await oracle.run(step);
      if (again.error !== null || verdictOf(sql, answer, again, false) !== 'same') return again.error === null;
    }
    return false;
  } finally {
    await oracle.run(isOpen ? 'ROLLBACK TO SAVEPOINT row_order; RELEASE SAVEPOINT row_order' : 'ROLLBACK');
  }
}
