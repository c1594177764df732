/** Statements without values, and rows as text. */
import type { Format } from '../types/result-column.ts';
import { parametersOf } from '../wire/bound-parameters.ts';
import type { BoundParameters } from '../wire/gateway-api.ts';

export const NO_PARAMETERS: BoundParameters = parametersOf([], []);
export const NO_FORMATS: readonly Format[] = [];
