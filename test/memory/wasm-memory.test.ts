import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { wasmMemories } from '../../src/wasm-memory.ts';

const MB = 2 ** 20;
/** Not among the types of the language. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: new (descriptor: { initial: number }) => { readonly buffer: ArrayBuffer } };
};

test.runIf(existsSync('/proc/self/smaps'))('of a WebAssembly memory only what was touched counts as there (Y1)', () => {
  const bytes = 173 * MB; // like no other
  const memory = new WebAssembly.Memory({ initial: bytes / 65_536 });
  const found = (): number | undefined => wasmMemories().find((each) => each.bytes === bytes)?.residentBytes;
  expect(found()).toBeLessThan(MB);
  new Uint8Array(memory.buffer).fill(1, 0, 8 * MB);
  expect(found()).toBeGreaterThanOrEqual(8 * MB);
  expect(found()).toBeLessThan(9 * MB);
});
