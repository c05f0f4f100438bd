/** Imported into a command before it runs. At exit, it writes the peak memory of the command, in kB, to a file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['SWINGSNAP_PEAK_FILE'];
if (isMainThread && file !== undefined) {
  process.on('exit', () => {
    // Not from getrusage, which begins with the peak of the parent process.
    const [, peak = ''] =
      /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    writeFileSync(file, peak);
  });
}
