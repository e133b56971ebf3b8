// What the Node verifiers have in common: a question a line in, an answer a line out (README.md). The
// same address is the same verifier, with what it has cached.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** `name version` of packages in node_modules. */
export const packages = (...names) =>
  names
    .map((name) => JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url))))
    .map(({ name, version }) => `${name} ${version}`)
    .join(' with ');

/** `make` gives a function that resolves for a token the verifier accepts, and rejects for any other. */
export async function answer(version, make) {
  if (process.argv[2] === '--version') return console.log(version);
  const verifiers = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const question = JSON.parse(line);
    const { issuer, jwks, audience, token } = question;
    const address = JSON.stringify([issuer, jwks, audience]);
    try {
      if (!verifiers.has(address)) verifiers.set(address, await make(question));
      await verifiers.get(address)(token);
      console.log(JSON.stringify({ accepted: true, message: '' }));
    } catch (error) {
      console.log(JSON.stringify({ accepted: false, message: said(error) }));
    }
  }
  process.exit(0);
}

/** The last cause is the one that says why. */
function said(error) {
  for (; error?.cause instanceof Error; error = error.cause);
  const code = error?.code && !String(error.message).includes(error.code) ? `${error.code}: ` : '';
  return `${code}${error?.message ?? error}`;
}
