// A Logto-like auth server in one file, for the compose example: ES384, `typ: at+jwt`, discovery and key set
// under /oidc. It gives tokens to anyone who asks: use it as an example only.
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import http from 'node:http';

const iss = `${process.env.PUBLIC_URL ?? 'http://localhost:8080'}/oidc`;
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const kid = randomUUID();

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function token(typ, claims) {
  const iat = Math.floor(Date.now() / 1000);
  const input = `${encode({ alg: 'ES384', typ, kid })}.${encode({ iss, sub: 'user_1', iat, exp: iat + 3600, jti: randomUUID(), ...claims })}`;
  const signature = sign('sha384', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

const routes = {
  '/oidc/.well-known/openid-configuration': () => ({
    issuer: iss,
    authorization_endpoint: `${iss}/auth`,
    token_endpoint: `${iss}/token`,
    jwks_uri: `${iss}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES384'],
  }),
  '/oidc/jwks': () => ({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES384' }] }),
  '/oidc/token': () => {
    const access_token = token('at+jwt', { aud: 'https://api.example.com', client_id: 'app', scope: 'read' });
    const at_hash = createHash('sha384').update(access_token).digest().subarray(0, 24).toString('base64url');
    return { access_token, id_token: token('JWT', { aud: 'app', at_hash }), token_type: 'Bearer', expires_in: 3600 };
  },
};

const server = http.createServer((request, response) => {
  const route = routes[new URL(request.url, iss).pathname];
  request.resume();
  response.writeHead(route ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(route ? route() : { error: 'not_found' }));
});
server.listen(Number(process.env.PORT ?? 3001), process.env.HOST ?? '127.0.0.1', () => console.log(`issuer ${iss} listens`));
process.on('SIGTERM', () => process.exit(0));
