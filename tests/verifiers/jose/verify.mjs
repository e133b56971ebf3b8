// jose, as its README has it: a remote key set and no list of algorithms.
import { createRemoteJWKSet, jwtVerify } from 'jose';

import { answer, packages } from '../lib/answer.mjs';

await answer(packages('jose'), ({ issuer, jwks, audience }) => {
  const keys = createRemoteJWKSet(new URL(jwks));
  return (token) => jwtVerify(token, keys, { issuer, audience });
});
