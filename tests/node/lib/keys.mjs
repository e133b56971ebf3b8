// Keys and compact tokens, by Node's own crypto: what an issuer does, its oddities included.
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';

const KINDS = {
  RS256: { make: ['rsa', { modulusLength: 2048 }], hash: 'sha256' },
  ES256: { make: ['ec', { namedCurve: 'P-256' }], hash: 'sha256' },
  ES384: { make: ['ec', { namedCurve: 'P-384' }], hash: 'sha384' },
  ES256K: { make: ['ec', { namedCurve: 'secp256k1' }], hash: 'sha256' },
  EdDSA: { make: ['ed25519'], hash: null },
};

export function makeKey(alg, kid) {
  const { publicKey, privateKey } = generateKeyPairSync(...KINDS[alg].make);
  return { alg, kid, publicKey, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } };
}

export const b64u = (value) =>
  Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url');

const pad = (text) => text + '='.repeat((4 - (text.length % 4)) % 4);

/** A compact JWS; `padded`: every part with its `=`, and signed so, as AWS ALB does. */
export function token(key, header, claims, { padded = false } = {}) {
  const shape = padded ? pad : (text) => text;
  const input = `${shape(b64u({ alg: key.alg, kid: key.kid, ...header }))}.${shape(b64u(claims))}`;
  let signature;
  if (key.secret) signature = createHmac('sha256', key.secret).update(input).digest();
  else {
    signature = sign(KINDS[key.alg].hash, Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  }
  return `${input}.${shape(b64u(signature))}`;
}

export const now = () => Math.floor(Date.now() / 1000);
