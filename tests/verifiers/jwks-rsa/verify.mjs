// jsonwebtoken with jwks-rsa as its `getKey`, as both READMEs have it.
import jsonwebtoken from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';

import { answer, packages } from '../lib/answer.mjs';

await answer(packages('jwks-rsa', 'jsonwebtoken'), ({ issuer, jwks, audience }) => {
  const client = jwksClient({ jwksUri: jwks });
  const getKey = (header, done) => client.getSigningKey(header.kid, (error, key) => done(error, key?.getPublicKey()));
  return (token) =>
    new Promise((resolve, reject) => {
      jsonwebtoken.verify(token, getKey, { issuer, audience }, (error) => (error ? reject(error) : resolve()));
    });
});
