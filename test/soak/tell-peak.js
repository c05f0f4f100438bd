/** Imported into a command before it runs: at its end it writes the most memory that it had, in kB, to a file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['SWINGSNAP_PEAK_FILE'];
if (isMainThread && file !== undefined) {
  process.on('exit', () => {
    // Not what getrusage says: that begins with what the process had that started this one.
    const [, peak = ''] =
      /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    writeFileSync(file, peak);
  });
}
