/** Which of the renderers a run gets. */

import { linesProgress, silentProgress, type CommandProgress } from './progress.ts';

/** The progress for this run. A terminal's spinner is loaded only where there is a terminal. */
export async function openProgress(
  flags: { readonly json: boolean; readonly quiet: boolean },
  stream: NodeJS.WriteStream,
): Promise<CommandProgress> {
  if (flags.json || flags.quiet) return silentProgress();
  // ora never comes back from a terminal that says it has no width, as one without a window (`script`) does.
  if (!stream.isTTY || !(stream.columns > 0)) return linesProgress(stream);
  const { terminalProgress } = await import('./terminal-progress.ts');
  return terminalProgress(stream);
}
