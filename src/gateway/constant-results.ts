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
  /** Of results that are texts, by the statement's text; of others by formats and text. */
  readonly #texts = new Map<string, CatalogResult>();
  readonly #others = new Map<string, CatalogResult>();

  find(text: string, formats: readonly Format[]): CatalogResult | undefined {
    if (text.length > TEXT_MAX) return undefined;
    return formats.includes(1) ? this.#others.get(keyOf(text, formats)) : this.#texts.get(text);
  }

  keep(text: string, formats: readonly Format[], answer: CatalogResult): void {
    if (text.length > TEXT_MAX || answer.messages.length > BYTES_MAX) return;
    const answers = formats.includes(1) ? this.#others : this.#texts;
    if (answers.size >= ANSWERS_MAX) answers.clear();
    answers.set(formats.includes(1) ? keyOf(text, formats) : text, answer);
  }
}

const keyOf = (text: string, formats: readonly Format[]): string => `${formats.join('')} ${text}`;
