/** The fake command as a process of its own, for what only a process shows: signals and pipes. */

import { fileURLToPath } from 'node:url';
import { leaveErrorsToWriters } from '../../src/cli/text/output.ts';
import { Fake } from './fake-command.ts';

leaveErrorsToWriters(process.stdout);
leaveErrorsToWriters(process.stderr);
await Fake.run(process.argv.slice(2), { root: fileURLToPath(new URL('../..', import.meta.url)) });
