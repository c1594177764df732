const NAME_BYTES_MAX = 63;

/** Names longer than 63 bytes are cut, as PostgreSQL cuts them; the parser has done so already for plain identifiers. */
export function truncated(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
  let cut = name;
  while (Buffer.byteLength(cut) > NAME_BYTES_MAX) cut = [...cut].slice(0, -1).join('');
  return cut;
}
