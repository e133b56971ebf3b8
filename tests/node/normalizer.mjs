// npm's jose and jwks-rsa (with jsonwebtoken) on key sets that `countersign normalize` wrote. Standard
// input: `[{name, set, tokens: [{kid, alg, good, forged}]}]`, one token a key. Prints what was read and
// verified, and the faults found.
import { createLocalJWKSet, importSPKI, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { JwksClient } from 'jwks-rsa';

import { client } from './lib/client.mjs';
import { body } from './lib/serve.mjs';

/** Neither reads secp256k1: jose 6 is WebCrypto's, and jwks-rsa reads by jose. */
const UNKNOWN = ['ES256K'];

const byJose = (set) => {
  const keys = createLocalJWKSet(set);
  return (token, alg) => jwtVerify(token, keys, { algorithms: [alg] });
};

const byJwksRsa = (set) => {
  const keys = new JwksClient({ jwksUri: 'http://unused.invalid', getKeysInterceptor: async () => set.keys, cache: false });
  const verify = async (token, alg, kid) => {
    const pem = (await keys.getSigningKey(kid)).getPublicKey();
    // jsonwebtoken has no EdDSA.
    if (alg === 'EdDSA') return jwtVerify(token, await importSPKI(pem, alg), { algorithms: [alg] });
    return jsonwebtoken.verify(token, pem, { algorithms: [alg] });
  };
  return verify;
};

/** jwks-rsa leaves out what it cannot read, in silence. */
const read = async (set) => {
  const keys = new JwksClient({ jwksUri: 'http://unused.invalid' });
  keys.getKeys = async () => set.keys;
  return (await keys.getSigningKeys()).map((key) => key.kid);
};

client(async () => {
  const out = { sets: 0, jose: 0, 'jwks-rsa': 0, unknown: 0, faults: [] };
  for (const { name, set, tokens } of JSON.parse(await body(process.stdin))) {
    const fault = (text) => out.faults.push(`${name}: ${text}`);
    const known = set.keys.filter((key) => !UNKNOWN.includes(key.alg)).map((key) => key.kid);
    const seen = known.length > 0 ? await read(set).catch((error) => [String(error)]) : [];
    if (JSON.stringify(seen) !== JSON.stringify(known)) fault(`jwks-rsa reads ${seen} of ${known}`);
    out.sets++;
    const readers = { jose: byJose(set), 'jwks-rsa': byJwksRsa(set) };
    for (const { kid, alg, good, forged } of tokens) {
      if (UNKNOWN.includes(alg)) {
        out.unknown++;
        continue;
      }
      for (const [reader, verify] of Object.entries(readers)) {
        await verify(good, alg, kid).then(() => out[reader]++, (error) => fault(`${reader}, ${alg} ${kid}: ${error}`));
        await verify(forged, alg, kid).then(
          () => fault(`${reader}, ${alg} ${kid}: takes a forged token`),
          (error) => /signature/i.test(error.message) || fault(`${reader}, ${alg} ${kid}: forged, but ${error}`),
        );
      }
    }
  }
  return out;
});
