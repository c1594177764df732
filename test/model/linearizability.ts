/**
 * Is a history of one register linearizable: is there an order of its operations that keeps to real time (what had ended before another
 * began comes before it) in which each read sees the last write? After Wing and Gong, with remembered states.
 *
 * A write that was never answered (the server was killed) may have happened at any time after its begin, or not at all.
 */

/** The register is a list to which values are appended: what is read tells the whole order. */
export interface Operation {
  readonly kind: 'append' | 'read';
  /** append: the value; read: the list that was seen. */
  readonly value: string;
  /** Numbers in the order in which things happened; end Infinity: never answered. */
  readonly begin: number;
  readonly end: number;
}

export function isLinearizable(history: readonly Operation[]): boolean {
  const seen = new Set<string>();
  const search = (left: readonly Operation[], state: string): boolean => {
    if (left.every(({ end }) => end === Infinity)) return true;
    const key = `${state}|${left.map(({ begin }) => begin).join(',')}`;
    if (seen.has(key)) return false;
    seen.add(key);
    // the next one must have begun before any other that is left had ended
    const firstEnd = Math.min(...left.map(({ end }) => end));
    return left.some((operation) => {
      if (operation.begin > firstEnd) return false;
      if (operation.kind === 'read' && operation.value !== state) return false;
      const next = operation.kind === 'append' ? `${state}${operation.value};` : state;
      return search(
        left.filter((other) => other !== operation),
        next,
      );
    });
  };
  return search(history, '');
}
