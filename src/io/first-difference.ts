/** Characters before the first difference that are shown with it. */
const LEAD = 40;

/**
 * Cuts two texts for a message around their first difference, so that what is shown differs too.
 * @param most UTF-16 units of each, at least
 */
export function cutAround(
  expected: string,
  found: string,
  most: number,
): readonly [expected: string, found: string] {
  let at = 0;
  while (at < expected.length && expected[at] === found[at]) at += 1;
  const isFar = Math.max(expected.length, found.length) > most && at > most - LEAD;
  const from = isFar ? at - LEAD : 0;
  return [part(expected, from, most), part(found, from, most)];
}

function part(text: string, from: number, most: number): string {
  const to = from + most;
  return `${from > 0 ? '…' : ''}${text.slice(from, to)}${text.length > to ? '…' : ''}`;
}
