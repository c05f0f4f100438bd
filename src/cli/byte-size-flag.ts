import { CLIError } from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';

import { EXIT_CODES } from '../errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** A number of bytes, plain or with a unit: `16777216`, `16MiB`, `10GB`. */
export const byteSize = Flags.custom<number>({
  helpValue: 'SIZE',
  parse: (input) => {
    const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/u.exec(input) ?? [];
    const factor = UNITS[unit];
    if (digits !== '' && factor !== undefined)
      return Promise.resolve(Math.floor(Number(digits) * factor));
    throw new CLIError(`expected a size like 16MiB or 10GB, found ${input}`, {
      exit: EXIT_CODES.usage,
    });
  },
});
