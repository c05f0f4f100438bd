import { CLIError } from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';

import { EXIT_CODES } from '../errors.ts';

/** `--expect`: the content hash that `retrieve` printed. */
export const expectFlag = Flags.string({
  summary: 'The contentHash that it must have, as retrieve printed it.',
  helpValue: 'HASH',
  parse: (input) => {
    const hash = input.toLowerCase();
    if (/^[0-9a-f]{64}$/u.test(hash)) return Promise.resolve(hash);
    throw new CLIError(`expected a contentHash of 64 hex digits, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});
