/** The fake command in its own process, to test signals and pipes. */

import { fileURLToPath } from 'node:url';
import { leaveErrorsToWriters } from '../../src/cli/text/output.ts';
import { Fake } from './fake-command.ts';

leaveErrorsToWriters(process.stdout);
leaveErrorsToWriters(process.stderr);
await Fake.run(process.argv.slice(2), { root: fileURLToPath(new URL('../..', import.meta.url)) });
