// npm's oidc-provider with an ES384 key as its only one. Options: `issuer` (the address clients know,
// that is the proxy's), `jwt` (access tokens are ES384 JWTs, `typ: at+jwt`, as Logto issues them).
//
// The provider itself keeps JWT access tokens out of its own endpoints (userinfo, introspection,
// revocation). So with `jwt` its opaque tokens get a signed shell: the JWT carries the opaque value as
// `jti`, and a JWT that comes back is taken only if it is, byte for byte, signed by this provider.
import { createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import Provider from 'oidc-provider';

import { body, options, serve } from '../lib/serve.mjs';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const publicKey = createPublicKey(privateKey);
const kid = 'es384-1';
const jwk = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES384' };

const callback = options.callback ?? 'https://app.example.test/cb';
const client = (client_id, rest) => ({
  client_id,
  client_secret: 'a-secret-of-the-tests',
  redirect_uris: [callback],
  post_logout_redirect_uris: ['https://app.example.test/bye'],
  grant_types: ['authorization_code', 'refresh_token', 'implicit'],
  response_types: ['code', 'id_token', 'code id_token', 'id_token token', 'code id_token token'],
  id_token_signed_response_alg: 'ES384',
  ...rest,
});

const accounts = (id) => ({
  accountId: id,
  claims: () => ({ sub: id, email: `${id}@example.test`, email_verified: true, name: 'Ada Lovelace' }),
});

const provider = new Provider(options.issuer, {
  jwks: { keys: [jwk] },
  clients: [
    client('app'),
    client('app-jwt-userinfo', { userinfo_signed_response_alg: 'ES384' }),
    client('spa', {
      client_secret: undefined,
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    }),
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES384' },
  enabledJWA: {
    idTokenSigningAlgValues: ['ES384'],
    userinfoSigningAlgValues: ['ES384'],
    introspectionSigningAlgValues: ['ES384'],
  },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  scopes: ['openid', 'offline_access', 'email', 'profile'],
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    jwtUserinfo: { enabled: true },
    resourceIndicators: { enabled: false },
  },
  responseTypes: ['code', 'id_token', 'code id_token', 'id_token token', 'code id_token token', 'none'],
  clientBasedCORS: () => true,
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  conformIdTokenClaims: true,
  findAccount: (_ctx, id) => accounts(id),
});
provider.proxy = true;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function issueJwt(value, token) {
  const iat = Math.floor(Date.now() / 1000);
  const input = `${encode({ alg: 'ES384', typ: 'at+jwt', kid })}.${encode({
    iss: options.issuer,
    sub: token.accountId,
    aud: token.clientId,
    client_id: token.clientId,
    scope: token.scope,
    jti: value,
    iat,
    exp: iat + token.remainingTTL,
  })}`;
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' };
  return `${input}.${sign('sha384', Buffer.from(input), key).toString('base64url')}`;
}

/** The opaque value in a JWT of this provider; `undefined` for anything else. */
function openJwt(token) {
  const [header, payload, signature, ...rest] = token.split('.');
  if (!signature || rest.length > 0) return undefined;
  const { alg } = JSON.parse(Buffer.from(header, 'base64url').toString());
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' };
  const good =
    alg === 'ES384' &&
    verify('sha384', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'));
  return good ? JSON.parse(Buffer.from(payload, 'base64url').toString()).jti : undefined;
}

// The ID token of the token endpoint names its access token by `at_hash`, as most issuers' do.
const issued = new WeakMap();
const save = provider.AccessToken.prototype.save;
provider.AccessToken.prototype.save = async function (...args) {
  const opaque = await save.apply(this, args);
  const value = options.jwt ? issueJwt(opaque, this) : opaque;
  if (Provider.ctx) issued.set(Provider.ctx, value);
  return value;
};
const issue = provider.IdToken.prototype.issue;
provider.IdToken.prototype.issue = function (args) {
  const value = Provider.ctx && issued.get(Provider.ctx);
  if (args?.use === 'idtoken' && value && Provider.ctx.oidc.route === 'token') this.set('at_hash', value);
  return issue.call(this, args);
};
if (options.debug) provider.on('server_error', (_ctx, error) => console.error(error));

const app = provider.callback();
serve(async (request, response) => {
  if (options.jwt) {
    const bearer = /^Bearer (.+\..+\..+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (bearer) request.headers.authorization = `Bearer ${openJwt(bearer) ?? bearer}`;
    if (request.method === 'POST' && /^\/token\/(introspection|revocation)/.test(request.url)) {
      const form = new URLSearchParams(await body(request));
      const token = form.get('token');
      if (token?.includes('.')) form.set('token', openJwt(token) ?? token);
      request.body = Object.fromEntries(form);
    }
  }
  app(request, response);
}, { issuer: options.issuer, jwks: '/jwks' });
