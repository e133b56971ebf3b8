// Issuers that people bring, written from what they were seen to issue; none of their code is here.
// What a recipe of the documentation says about the issuer is what the issuer does: `iss`, `aud`,
// `client`, `jwks` (the path of its key set), `tokens` (the path of its token endpoint).
// Each: its key set where the recipe reads it, discovery where the real one has it, `GET /token` for a
// fresh token (a stand-in for the login), and that token in the answer of its token endpoint. Where
// `login` makes an ID token there is an authorization endpoint that asks nothing, and the code it gives
// becomes that token. `POST /rotate` makes new keys; the old ones stay in the set.
import { createHash, randomUUID } from 'node:crypto';
import forge from 'node-forge';

import { body, json, options, send, serve } from '../lib/serve.mjs';
import { makeKey as made, now, token } from '../lib/keys.mjs';

const { iss, aud, client } = options;
let turn = 0;
const makeKey = (alg, kid) => made(alg, turn ? `${kid}-${turn}` : kid);
const times = (life = 3600) => ({ iat: now(), exp: now() + life });

/** A certificate for an RSA key, signed by itself, as PEM. */
function certificate(key) {
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.publicKeyFromPem(key.publicKey.export({ type: 'spki', format: 'pem' }));
  cert.serialNumber = '01';
  cert.validity.notBefore = new Date(Date.now() - 86_400_000);
  cert.validity.notAfter = new Date(Date.now() + 14 * 86_400_000);
  const name = [{ name: 'commonName', value: 'securetoken.system.gserviceaccount.com' }];
  cert.setSubject(name);
  cert.setIssuer(name);
  cert.sign(forge.pki.privateKeyFromPem(key.privateKey.export({ type: 'pkcs8', format: 'pem' })), forge.md.sha256.create());
  return forge.pki.certificateToPem(cert);
}

/** An ID token that names its access token, as OpenID Connect Core §3.1.3.6 has it. */
function pair(hash, access_token, idToken) {
  const digest = createHash(hash).update(access_token).digest();
  const at_hash = digest.subarray(0, digest.length / 2).toString('base64url');
  return { access_token, id_token: idToken({ at_hash }), expires_in: 3600, token_type: 'Bearer' };
}

const KINDS = {
  // What asks for no change: RS256, one audience.
  plain() {
    const key = makeKey('RS256', 'plain-1');
    const make = (more) => token(key, { typ: 'JWT' }, { iss, aud, sub: 'user-1', ...times(), ...more });
    return {
      set: { keys: [key.jwk] },
      discovery: { id_token_signing_alg_values_supported: ['RS256'] },
      token: () => make(),
      answer: (more) => ({ access_token: 'opaque', id_token: make(more), token_type: 'Bearer', expires_in: 3600 }),
    };
  },
  // Logto: ES384 throughout; access tokens for an API resource are RFC 9068's `at+jwt`.
  logto() {
    const key = makeKey('ES384', 'logto-1');
    const claims = () => ({ jti: randomUUID(), sub: 'user_1', ...times(), iss, client_id: aud });
    const access = () => token(key, { typ: 'at+jwt' }, { ...claims(), scope: 'read', aud });
    return {
      set: { keys: [key.jwk] },
      discovery: { id_token_signing_alg_values_supported: ['ES384'] },
      token: access,
      answer: (more) => pair('sha384', access(), (hash) => token(key, { typ: 'JWT' }, { ...claims(), aud, ...hash, ...more })),
    };
  },
  // WorkOS AuthKit: RS256, but no `aud`; the claims are those of its documentation, without a client.
  workos() {
    const key = makeKey('RS256', 'sso_oidc_key_pair_01');
    return {
      set: { keys: [key.jwk] },
      token: () => token(key, {}, {
        iss, sub: 'user_01', sid: 'session_01', org_id: 'org_01', role: 'member', roles: ['member'],
        permissions: [], entitlements: [], jti: randomUUID(), ...times(300),
      }),
    };
  },
  // Privy: ES256, and an `iss` without a scheme.
  privy() {
    const key = makeKey('ES256', 'privy-1');
    return {
      set: { keys: [key.jwk] },
      token: () => token(key, { typ: 'JWT' }, { sid: randomUUID(), iss, ...times(), aud, sub: 'did:privy:1' }),
    };
  },
  // dynamic.xyz: RS256, an `iss` without a scheme, a set with keys of other kinds.
  dynamic() {
    const key = makeKey('RS256', 'dynamic-1');
    return {
      set: { keys: [makeKey('EdDSA', 'dynamic-ed').jwk, key.jwk] },
      token: () => token(key, { typ: 'JWT' }, { iss, aud, sub: 'user-1', ...times(), scope: 'user:basic' }),
    };
  },
  // Firebase: RS256, the keys as certificates, kid → PEM, at an address of Google's.
  firebase() {
    const key = makeKey('RS256', '9d2f');
    return {
      set: { [key.kid]: certificate(key) },
      token: () => token(key, { typ: 'JWT' }, {
        iss, aud, auth_time: now(), user_id: 'uid1', sub: 'uid1', ...times(), email: 'ada@example.test',
        email_verified: false, firebase: { identities: {}, sign_in_provider: 'custom' },
      }),
    };
  },
  // AWS ALB: ES256, every part padded, one PEM a kid. The client stands in the header alone; `exp` and
  // `iss` in both. The claims are the provider's userinfo answer, in which Cognito quotes booleans.
  'aws-alb'() {
    const key = makeKey('ES256', '8f3c0d1e-0000-4000-8000-000000000001');
    const signer = 'arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/my-app/0123456789abcdef';
    return {
      kid: key.kid,
      set: key.publicKey.export({ type: 'spki', format: 'pem' }),
      type: 'binary/octet-stream',
      token: () => token(key, { iss, client, signer, exp: now() + 120 }, {
        sub: 'user-1', email_verified: 'true', email: 'ada@example.test', username: 'ada', exp: now() + 120, iss,
      }, { padded: true }),
    };
  },
  // Keycloak: PS256 or so; beside the signing key one for encryption, under the same kid.
  keycloak() {
    const key = makeKey('ES256', 'realm-1');
    const enc = makeKey('RS256', 'realm-1');
    const claims = () => ({ iss, sub: randomUUID(), ...times(300), jti: randomUUID(), azp: aud, typ: 'Bearer' });
    const access = () => token(key, { typ: 'JWT' }, { ...claims(), aud: [aud, 'account'], scope: 'openid' });
    return {
      set: { keys: [{ ...enc.jwk, use: 'enc', alg: 'RSA-OAEP-512' }, key.jwk] },
      discovery: { id_token_signing_alg_values_supported: ['ES256'] },
      token: access,
      answer: (more) =>
        pair('sha256', access(), (hash) => token(key, { typ: 'JWT' }, { ...claims(), aud, typ: 'ID', ...hash, ...more })),
    };
  },
  // Zitadel: RS256, the project and every client as audience, keys without `alg`.
  zitadel() {
    const key = makeKey('RS256', '271894@zitadel');
    const make = (more) => token(key, {}, {
      iss, aud: [aud, 'app-2@project', '223281986649719041'], sub: '170848145649959169', azp: aud, ...times(43_200), jti: 'V2_1',
      ...more,
    });
    return {
      set: { keys: [{ ...key.jwk, alg: undefined }] },
      discovery: { id_token_signing_alg_values_supported: ['RS256'] },
      token: () => make(),
      answer: (more) => ({ access_token: make(), id_token: make(more), token_type: 'Bearer', expires_in: 43_199 }),
    };
  },
  // Supabase: ES256 by its set; HS256 with the project's old secret where one is given.
  supabase() {
    const key = options.secret ? { alg: 'HS256', kid: 'legacy', secret: options.secret } : makeKey('ES256', 'supabase-es256');
    const make = () => token(key, { typ: 'JWT' }, {
      iss, aud, sub: randomUUID(), ...times(), email: 'ada@example.test', phone: '', role: 'authenticated',
      aal: 'aal1', amr: [{ method: 'password', timestamp: now() }], session_id: randomUUID(), is_anonymous: false,
    });
    return {
      set: { keys: options.secret ? [] : [{ ...key.jwk, key_ops: ['verify'], ext: true }] },
      token: make,
      answer: () => ({ access_token: make(), token_type: 'bearer', expires_in: 3600 }),
    };
  },
  // Telegram: RS256 unless the bot says otherwise, a set with a key for each of its four algorithms, one of
  // them on secp256k1 (ory/kratos#4572).
  telegram() {
    const keys = [makeKey('RS256', 'oidc-1'), makeKey('ES256', 'oidc-es256-1'), makeKey('EdDSA', 'oidc-eddsa-1'), makeKey('ES256K', 'oidc-es256k-1')];
    const set = { keys: keys.map(({ jwk: { use, ...jwk } }) => ({ ...jwk, key_ops: ['verify'], ext: true })) };
    const make = (more) => token(keys[0], { typ: 'JWT' }, { iss, aud, sub: '1234567890', id: 1234567890, name: 'Ada', ...times(), ...more });
    return {
      set,
      discovery: { id_token_signing_alg_values_supported: ['RS256', 'ES256', 'EdDSA', 'ES256K'] },
      token: () => make(),
      answer: (more) => ({ access_token: 'opaque', id_token: make(more), token_type: 'Bearer', expires_in: 3600 }),
    };
  },
  // Kanidm: ES256 throughout, an issuer for each client.
  kanidm() {
    const key = makeKey('ES256', '8b0a1c2f');
    const claims = () => ({ iss, aud, azp: aud, sub: randomUUID(), ...times(900), nbf: now(), jti: randomUUID() });
    const access = () => token(key, { typ: 'at+jwt' }, { ...claims(), scope: 'openid', client_id: aud });
    return {
      set: { keys: [key.jwk] },
      discovery: { id_token_signing_alg_values_supported: ['ES256'] },
      token: access,
      answer: (more) => pair('sha256', access(), (hash) => token(key, { typ: 'JWT' }, { ...claims(), ...hash, ...more })),
    };
  },
  // Rauthy: EdDSA by default, RSA keys beside it, `iss` with a slash at its end.
  rauthy() {
    const key = makeKey('EdDSA', 'rauthy-ed');
    const claims = () => ({ iss, aud, azp: aud, sub: randomUUID(), ...times(1800), nbf: now() });
    const access = () => token(key, { typ: 'JWT' }, { ...claims(), typ: 'Bearer', scope: 'openid' });
    return {
      set: { keys: [makeKey('RS256', 'rauthy-rsa').jwk, key.jwk] },
      discovery: { id_token_signing_alg_values_supported: ['RS256', 'EdDSA'] },
      token: access,
      answer: (more) => pair('sha512', access(), (hash) => token(key, { typ: 'JWT' }, { ...claims(), typ: 'Id', ...hash, ...more })),
    };
  },
  // LINE: HS256 with the channel secret for web logins, without `kid`; its set has an ES256 key for others.
  line() {
    const key = { alg: 'HS256', secret: options.secret };
    const make = (more) => token(key, { typ: 'JWT' }, { iss, sub: 'U1234567890abcdef', aud, ...times(), name: 'Ada', ...more });
    return {
      set: { keys: [makeKey('ES256', 'line-es256').jwk] },
      discovery: { id_token_signing_alg_values_supported: ['ES256'] },
      token: () => make(),
      answer: (more) => ({ access_token: 'opaque', id_token: make(more), token_type: 'Bearer', expires_in: 3600 }),
    };
  },
  // Stytch: RS256, an `iss` without a scheme, five minutes, members beside `keys`.
  stytch() {
    const key = makeKey('RS256', 'jwk-test-1');
    return {
      set: { keys: [{ ...key.jwk, key_ops: ['verify'] }], status_code: 200, request_id: 'request-id-test-1' },
      token: () => token(key, { typ: 'JWT' }, {
        iss, aud: [aud], sub: 'user-test-1', ...times(300), nbf: now(),
        'https://stytch.com/session': { id: 'session-test-1', attributes: {} },
      }),
    };
  },
  // Entra ID, several tenants: RS256, keys without `alg` with a member `issuer`; `iss` names the tenant.
  entra() {
    const key = makeKey('RS256', 'entra-1');
    const tenant = options.tenant;
    const { alg, ...jwk } = key.jwk;
    const make = (more) => token(key, { typ: 'JWT' }, {
      aud, iss: iss.replace('{tenantid}', tenant), ...times(), nbf: now(), oid: randomUUID(), sub: 'AAAAAAAAAAAAAAAAAAAAAMZ', tid: tenant,
      ver: '2.0', preferred_username: 'ada@example.test', ...more,
    });
    return {
      set: { keys: [{ ...jwk, x5t: key.kid, issuer: iss }] },
      discovery: { id_token_signing_alg_values_supported: ['RS256'] },
      token: () => make(),
      answer: (more) => ({ access_token: 'opaque', id_token: make(more), token_type: 'Bearer', expires_in: 3600 }),
    };
  },
};

let like = KINDS[options.kind]();
const jwks = options.jwks?.replace('{kid}', like.kid);
const origin = /^https?:/.test(iss) && new URL(iss).origin;
const discovery = like.discovery && {
  issuer: iss,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}${options.tokens}`,
  jwks_uri: `${origin}${jwks}`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  ...like.discovery,
};
// Entra has one document for all tenants.
const base = discovery && new URL(iss.replace('{tenantid}', 'common')).pathname.replace(/\/$/, '');
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (code) => JSON.parse(Buffer.from(code, 'base64url').toString());

serve(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://issuer');
  const form = new URLSearchParams(await body(request));
  if (pathname === '/authorize') {
    const to = new URL(searchParams.get('redirect_uri'));
    to.searchParams.set('code', encode({ nonce: searchParams.get('nonce') ?? undefined }));
    to.searchParams.set('state', searchParams.get('state') ?? '');
    send(response, 303, { location: to.href }, '');
  } else if (pathname === '/rotate') {
    turn++;
    const before = like;
    like = KINDS[options.kind]();
    if (like.set.keys) like.set.keys.push(...before.set.keys);
    json(response, {});
  } else if (pathname === jwks) {
    if (like.type) send(response, 200, { 'content-type': like.type }, like.set);
    else json(response, like.set);
  } else if (discovery && pathname === `${base}/.well-known/openid-configuration`) {
    json(response, discovery);
  } else if (request.method === 'POST' && pathname === options.tokens && like.answer) {
    json(response, like.answer(form.has('code') ? decode(form.get('code')) : {}));
  } else if (pathname === '/token') {
    send(response, 200, { 'content-type': 'text/plain' }, like.token());
  } else {
    json(response, { error: 'not_found' }, 'application/json', 404);
  }
}, { jwks: jwks ?? '/none' });
