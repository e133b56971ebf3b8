// fast-jwt with get-jwks, as the README of get-jwks has it.
import { createVerifier } from 'fast-jwt';
import buildGetJwks from 'get-jwks';

import { answer, packages } from '../lib/answer.mjs';

await answer(packages('fast-jwt', 'get-jwks'), ({ issuer, jwks, audience }) => {
  const { origin, pathname } = new URL(jwks);
  const keys = buildGetJwks({ jwksPath: pathname });
  return createVerifier({
    key: ({ header: { kid, alg } }) => keys.getPublicKey({ kid, alg, domain: origin }),
    allowedIss: issuer,
    allowedAud: audience,
  });
});
