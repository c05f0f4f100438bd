/**
 * What the files of a zip add up to, read before all of them are: its directory may name the same bytes any number of
 * times, and the reader copies and sums them each time.
 *
 * Format: the part of PKWARE's APPNOTE that `@endo/zip` reads, by the same positions.
 */

const [END_BYTES, FILE_BYTES] = [22, 46];
const FILE_SIGNATURE = 0x02014b50;

/**
 * The sum of the sizes that the directory of a zip names, in bytes; of one that cannot be read, as far as it can. What
 * is wrong with it is for the reader to say.
 */
export function sumOfSizes(zip: Uint8Array): number {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const end = zip.length - END_BYTES;
  if (end < 0) return 0;
  let sum = 0;
  let at = end - view.getUint32(end + 12, true);
  while (at >= 0 && at + FILE_BYTES <= zip.length && view.getUint32(at, true) === FILE_SIGNATURE) {
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    sum += view.getUint32(at + 20, true);
    at += FILE_BYTES + (name ?? 0) + (extra ?? 0) + (comment ?? 0);
  }
  return sum;
}
