// Usage: node packages/npm/build.mjs [--out FOLDER] BINARY | PLATFORM=BINARY...
// Makes npm tarballs of binaries that are built already: one package for each platform, and the main
// one, whose optional dependencies are exactly those. A bare BINARY is for the platform at hand.
// Prints the paths of the tarballs. Names and version come from Cargo.toml.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, openSync, readSync, closeSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const die = (what, hint) => {
  process.stderr.write(`error: npm: ${what}\nhint: ${hint}\n`);
  process.exit(2);
};

const options = process.argv.slice(2);
let out = path.join(root, 'target/npm');
if (options[0] === '--out') [, out] = options.splice(0, 2);
if (options.length === 0) die('no binary is named', '`make npm` builds one first; or name yours, as PLATFORM=BINARY for another platform');
const binaries = options.map((option) => {
  const [platform, file] = option.includes('=') ? option.split('=') : [`${process.platform}-${process.arch}`, option];
  if (!/^(linux|darwin)-(x64|arm64)$/.test(platform)) die(`unknown platform ${platform}`, 'one of linux-x64, linux-arm64, darwin-x64, darwin-arm64');
  return { platform, file };
});

const cargo = ['metadata', '--no-deps', '--format-version', '1', '--manifest-path', path.join(root, 'Cargo.toml')];
const workspace = JSON.parse(execFileSync('cargo', cargo, { encoding: 'utf8', maxBuffer: 1 << 26 }));
const crate = workspace.packages.find((found) => found.name === 'countersign');
const names = workspace.metadata.names;
const common = {
  version: crate.version,
  description: crate.description,
  license: crate.license,
  homepage: `${crate.repository}#readme`,
  repository: { type: 'git', url: `git+${crate.repository}.git`, directory: 'packages/npm' },
  bugs: `${crate.repository}/issues`,
  keywords: crate.keywords,
  engines: { node: '>=18' },
};

/** What a Linux binary asks to be loaded by: nothing, glibc's loader or musl's. */
function libc(file) {
  const head = Buffer.alloc(4096);
  const fd = openSync(file);
  readSync(fd, head);
  closeSync(fd);
  // The path of the loader stands right after the program headers.
  const text = head.toString('latin1');
  if (text.includes('/ld-linux')) return ['glibc'];
  return text.includes('/ld-musl') ? ['musl'] : undefined;
}

const tarballs = [];
function pack(folder, manifest) {
  copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', out, folder], { encoding: 'utf8' });
  const answer = JSON.parse(said);
  const [{ filename }] = Array.isArray(answer) ? answer : Object.values(answer);
  tarballs.push(path.join(out, path.basename(filename)));
}

rmSync(out, { recursive: true, force: true });
const optionalDependencies = {};
for (const { platform, file } of binaries) {
  const [os, cpu] = platform.split('-');
  const name = `${names['npm-scope']}/${platform}`;
  const folder = path.join(out, platform);
  mkdirSync(path.join(folder, 'bin'), { recursive: true });
  copyFileSync(file, path.join(folder, 'bin/countersign'));
  chmodSync(path.join(folder, 'bin/countersign'), 0o755);
  writeFileSync(path.join(folder, 'README.md'), `# ${name}\n\nThe binary of \`${names.npm}\` for ${platform}. Install that package instead.\n`);
  const manifest = { name, ...common, os: [os], cpu: [cpu], preferUnplugged: true };
  // A static binary runs on every Linux; one that asks for a loader only where that is.
  const loader = os === 'linux' ? libc(file) : undefined;
  if (loader) manifest.libc = loader;
  pack(folder, manifest);
  optionalDependencies[name] = crate.version;
}
const main = path.join(out, 'main');
cpSync(path.join(root, 'packages/npm/countersign'), main, { recursive: true });
chmodSync(path.join(main, 'bin/countersign.js'), 0o755);
pack(main, { name: names.npm, ...common, bin: { countersign: 'bin/countersign.js' }, optionalDependencies });
process.stdout.write(`${tarballs.join('\n')}\n`);
