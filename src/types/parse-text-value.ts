/** Text held as a string, such as a literal of a statement, through the same parsers as bytes of the wire. */
import type { ColumnSink } from './column-vector.ts';
import type { TextInput } from './number-input.ts';
import { encodeText } from './utf8.ts';

export function putText(input: TextInput, text: string | null, sink: ColumnSink): void {
  if (text === null) {
    sink.null();
    return;
  }
  const bytes = encodeText(text);
  input(bytes, 0, bytes.length, sink);
}
