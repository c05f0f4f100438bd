import { BaseCommand } from '../cli/base-command.ts';
import { withExitCodes } from '../cli/exit/exit-codes.ts';
import { heightFlag, snapshotArg } from '../cli/flags/flags.ts';
import { formatBytes } from '../cli/text/format.ts';
import { showSnapshot, type Shown } from '../operation/place/show.ts';
import { otherModules } from '../snapshot/manifest.ts';

export default class Show extends BaseCommand<typeof Show, Shown> {
  static override summary = 'Show all that the manifest of a snapshot says.';

  static override description = withExitCodes(
    'Reads the manifest alone. Whether the snapshot is as it says is shown by verify.',
    ['busy', 'timeout'],
  );

  static override usage = '<%= command.id %> SNAPSHOT [FLAGS]';

  static override examples = [
    '<%= config.bin %> <%= command.id %> /backup/snapshots/20000000',
    '<%= config.bin %> <%= command.id %> /backup/snapshots --height 20000000',
  ];

  static override args = { snapshot: snapshotArg };

  static override flags = { height: heightFlag };

  protected async execute(): Promise<Shown> {
    const { args, flags, progress } = this;
    return showSnapshot({ source: args.snapshot, height: flags.height, progress });
  }

  protected render({ path, manifestSha256, manifest }: Shown): string[] {
    const { version, height, contentHash, entries, chunks, made } = manifest;
    const { artifactMode, exportData, artifacts, ...hashes } = manifest.modules.swingset;
    const { by, ...making } = made;
    return [
      `snapshot of height ${height} (${artifactMode}): ${path}`,
      ...inColumns([
        ['export data', `${exportData.entries} entries, ${formatBytes(exportData.size)}`],
        ['artifacts', `${artifacts.count}, ${formatBytes(artifacts.size)}`],
        ...otherModules(manifest).flatMap(([name, module]) => [
          [
            `module ${name}`,
            `${module.kind}, ${module.artifacts.count} artifacts, ${formatBytes(module.artifacts.size)}`,
          ],
          ['  contentHash', module.contentHash],
        ]),
        ['contentHash', contentHash],
        ['exportDataHash', hashes.exportDataHash],
        ['operationalHash', hashes.operationalHash],
        ['format version', String(version)],
        ['list of entries', `${entries.count} lines, ${formatBytes(entries.size)}`],
        ['  SHA-256', entries.sha256],
        ['chunks', `${chunks.count}, ${formatBytes(chunks.size)}`],
        ['made by', by],
        // Later versions may say more of it.
        ...Object.entries(making).map(([name, value]) => [
          `  ${name}`,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]),
        ['manifest SHA-256', manifestSha256],
      ]),
    ];
  }
}

function inColumns(rows: readonly (readonly string[])[]): string[] {
  return rows.map(([name = '', value = '']) => `  ${name.padEnd(16)} ${value}`);
}
