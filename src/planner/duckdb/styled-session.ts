/**
 * Whether the statement that is being written is of a session with other styles than the defaults (`types/output-styles.ts`): the engine
 * makes the text of values inside a statement in the defaults alone, so what needs it is PostgreSQL's to run.
 *
 * Writing is synchronous, and deep: the flag is set around it, not handed through every function.
 */
import { notSupported } from '../../errors.ts';
import { formatType } from '../../types/format-type.ts';
import { stylesIn } from '../../types/output-styles.ts';
import { dependsOnStyle } from '../../types/styled-text.ts';

let isStyled = false;

export const writesStyled = (): boolean => isStyled;

export function writing<T>(styled: boolean, write: () => T): T {
  const before = isStyled;
  isStyled = styled;
  try {
    return write();
  } finally {
    isStyled = before;
  }
}

/** Of a session with that zone and its styles. */
export function writingFor<T>(timeZone: string | undefined, write: () => T): T {
  return writing(timeZone !== undefined && stylesIn(timeZone) !== null, write);
}

/** The text of a value of the type, other than as a result. @throws {SqlError} 0A000 */
export function refuseStyledText(oid: number): void {
  if (!isStyled || !dependsOnStyle(oid)) return;
  const type = formatType({ oid, typmod: -1 });
  throw notSupported(`the text of a value of type ${type} over Arka tables with these settings`, {
    hint: 'RESET DateStyle, IntervalStyle, bytea_output and extra_float_digits.',
  });
}
