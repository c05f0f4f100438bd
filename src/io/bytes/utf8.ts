/** Bytes that should be UTF-8. */
import { isUtf8 } from 'node:buffer';

/** `bytes`, or a copy in which what is not UTF-8 has become U+FFFD, as it does in a JavaScript string. */
export function wellFormed(bytes: Buffer): Buffer {
  return isUtf8(bytes) ? bytes : Buffer.from(bytes.toString());
}
