/**
 * Where the catalog image is: `dist/catalog-image.tar` of the package, for `src/catalog/image.ts` and
 * `dist/catalog/image.js` alike. `scripts/build-catalog-image.ts` makes it.
 */
export const catalogImage: URL = new URL('../../dist/catalog-image.tar', import.meta.url);
