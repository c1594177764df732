/**
 * Answers to statements of constants alone, `SELECT 1`: what pools, monitors and benchmarks ask all day. PostgreSQL answers a text
 * once; the same bytes are the answer for ever, to any session, for no setting and no definition has a say in them.
 */
import type { CatalogResult } from '../catalog/catalog-api.ts';
import type { Format } from '../types/result-column.ts';

const TEXT_MAX = 256;
const BYTES_MAX = 2048;
const ANSWERS_MAX = 256;

export class ConstantResults {
  readonly #answers = new Map<string, CatalogResult>();

  find(text: string, formats: readonly Format[]): CatalogResult | undefined {
    return text.length > TEXT_MAX ? undefined : this.#answers.get(keyOf(text, formats));
  }

  keep(text: string, formats: readonly Format[], answer: CatalogResult): void {
    if (text.length > TEXT_MAX || answer.messages.length > BYTES_MAX) return;
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(keyOf(text, formats), answer);
  }
}

const keyOf = (text: string, formats: readonly Format[]): string => `${formats.join('')} ${text}`;
