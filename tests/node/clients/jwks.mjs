// Two more verifiers on a served key set: npm's jose (createRemoteJWKSet) and jwks-rsa with
// jsonwebtoken. Options: `jwks` (address), `token`, `issuer`, `audience`, `algorithms`.
import { createRemoteJWKSet, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { JwksClient } from 'jwks-rsa';

import { client } from '../lib/client.mjs';

const said = (error) => ({ ok: false, error: `${error.code ?? error.name}: ${error.message}` });

client(async ({ jwks, token, issuer, audience, algorithms = ['RS256'] }) => {
  const out = {};
  const keys = createRemoteJWKSet(new URL(jwks));
  out.jose = await jwtVerify(token, keys, { issuer, audience, algorithms }).then(
    ({ payload, protectedHeader }) => ({ ok: true, payload, header: protectedHeader }),
    said,
  );
  out['jwks-rsa'] = await new Promise((resolve) => {
    const set = new JwksClient({ jwksUri: jwks });
    const getKey = (header, done) =>
      set.getSigningKey(header.kid).then((key) => done(null, key.getPublicKey()), (error) => done(error));
    jsonwebtoken.verify(token, getKey, { issuer, audience, algorithms }, (error, payload) =>
      resolve(error ? said(error) : { ok: true, payload }));
  });
  return out;
});
