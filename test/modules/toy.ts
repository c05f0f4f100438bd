/** A module that another program might have, with nothing of ours but the contract: notes, each of them one artifact. */
import { SwingSnapError, VerificationError } from '../../src/errors.ts';
import {
  ModuleHasher,
  refuseOtherState,
  type ChunkedReadable,
  type ChunkedWritable,
  type ReadContext,
  type StateChunk,
  type StateContext,
  type StateModule,
} from '../../src/snapshot/module-contract.ts';
import { sha256 } from './hashes.ts';

/** Texts by name. */
export type Notes = Map<string, string>;

/** @param place the notes to send, or to install into */
export function notesModule(name: string, place: Notes): StateModule {
  return {
    name,
    kind: 'notes',
    anyOrder: true,
    installs: 'between',
    beginReadState: async (context) => readNotes(name, place, context),
    beginWriteState: async (context) => writeNotes(name, place, context),
  };
}

const hashed = (notes: Notes) => {
  const hasher = new ModuleHasher('notes');
  for (const key of [...notes.keys()].sort()) {
    const bytes = Buffer.from(notes.get(key)!);
    const hash = sha256(bytes);
    hasher.add({ name: key, size: bytes.length, sha256: hash, identity: `note:${hash}` });
  }
  return { ...hasher.fields() };
};

function readNotes(name: string, notes: Notes, context: ReadContext): ChunkedReadable {
  const rest = [...notes.keys()].sort();
  let state: 'reading' | 'read' | 'over' = 'reading';
  return {
    async readChunk() {
      if (state === 'over') throw new SwingSnapError('MODULE_STATE', 'it is over');
      const key = rest.shift();
      if (key === undefined) {
        state = 'read';
        return undefined;
      }
      const data = Buffer.from(notes.get(key)!);
      const digest = { size: data.length, sha256: sha256(data) };
      const artifact = { name: key, ...digest, identity: `note:${digest.sha256}` };
      return { entries: [{ name: `${name}/${key}`, data, ...digest, artifact }] };
    },
    async done() {
      if (state !== 'read') throw new SwingSnapError('MODULE_STATE', 'not now');
      state = 'over';
      const description = { height: context.height, fields: hashed(notes) };
      refuseOtherState(name, context, description);
      return description;
    },
    async abort() {
      state = 'over';
    },
  };
}

function writeNotes(name: string, place: Notes, context: StateContext): ChunkedWritable {
  const received: Notes = new Map();
  let isOver = false;
  return {
    async writeChunk({ entries }: StateChunk) {
      if (isOver) throw new SwingSnapError('MODULE_STATE', 'it is over');
      for (const { data, size, sha256: hash, artifact, name: entryName } of entries) {
        const bytes = data instanceof Function ? await data() : data;
        const isRight =
          bytes.length === size &&
          sha256(bytes) === (hash ?? artifact?.sha256) &&
          entryName === `${name}/${artifact?.name ?? ''}`;
        if (!isRight) throw new VerificationError('NOTE', 'this is no note');
        received.set(artifact!.name, Buffer.from(bytes).toString());
      }
    },
    async done() {
      if (isOver) throw new SwingSnapError('MODULE_STATE', 'not twice');
      isOver = true;
      const description = { height: context.height, fields: hashed(received) };
      refuseOtherState(name, context, description);
      return {
        description,
        install: async () => {
          const old = new Map(place);
          for (const [key, text] of received) place.set(key, text);
          return {
            path: 'memory',
            undo: async () => {
              place.clear();
              for (const [key, text] of old) place.set(key, text);
            },
          };
        },
      };
    },
    async abort() {
      isOver = true;
    },
  };
}
