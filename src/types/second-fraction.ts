/** The microseconds of a second in PostgreSQL's texts: `.25`, nothing where there are none. */
export function secondFraction(micros: number): string {
  const rest = micros % 1e6;
  return rest === 0 ? '' : `.${String(rest).padStart(6, '0').replace(/0+$/, '')}`;
}
