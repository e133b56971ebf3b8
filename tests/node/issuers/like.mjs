// Issuers that people bring, written from what they were seen to issue; none of their code is here.
// Option `kind` picks one, `issuer` is what its `iss` is where it is an address of its own.
// Each: its key set where the real one has it, `GET /token?aud=…` for a fresh token (a stand-in for the
// login), and its token endpoint, where it has one, with that token in the answer's usual place.
import { createHash, randomUUID } from 'node:crypto';
import forge from 'node-forge';

import { json, options, send, serve } from '../lib/serve.mjs';
import { makeKey, now, token } from '../lib/keys.mjs';

const base = options.issuer;
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

const KINDS = {
  // Logto: ES384 throughout; access tokens for an API resource are RFC 9068's `at+jwt`.
  logto() {
    const key = makeKey('ES384', 'logto-1');
    const iss = `${base}/oidc`;
    const claims = () => ({ jti: randomUUID(), sub: 'user_1', ...times(), iss, client_id: 'app' });
    return {
      iss,
      jwks: ['/oidc/jwks', { keys: [key.jwk] }],
      discovery: ['/oidc/.well-known/openid-configuration', {
        issuer: iss,
        authorization_endpoint: `${base}/oidc/auth`,
        token_endpoint: `${base}/oidc/token`,
        jwks_uri: `${base}/oidc/jwks`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES384'],
      }],
      token: (aud) => token(key, { typ: 'at+jwt' }, { ...claims(), scope: 'read', aud }),
      tokenEndpoint: ['/oidc/token', (aud) => {
        const access_token = token(key, { typ: 'at+jwt' }, { ...claims(), scope: 'read', aud });
        const half = createHash('sha384').update(access_token).digest().subarray(0, 24);
        const id_token = token(key, { typ: 'JWT' }, { ...claims(), aud: 'app', at_hash: half.toString('base64url') });
        return { access_token, id_token, scope: 'read', expires_in: 3600, token_type: 'Bearer' };
      }],
    };
  },
  // WorkOS AuthKit: RS256, but no `aud`.
  workos() {
    const key = makeKey('RS256', 'sso_oidc_key_pair_01');
    const iss = 'https://api.workos.com/user_management/client_01';
    const make = () => token(key, {}, {
      iss, sub: 'user_01', sid: 'session_01', org_id: 'org_01', role: 'member', permissions: [],
      client_id: 'client_01', jti: randomUUID(), ...times(300),
    });
    return {
      iss,
      jwks: ['/sso/jwks/client_01', { keys: [key.jwk] }],
      token: make,
      tokenEndpoint: ['/user_management/authenticate', () => ({ user: { id: 'user_01' }, access_token: make(), refresh_token: 'r' })],
    };
  },
  // Privy: ES256, and an `iss` without a scheme.
  privy() {
    const key = makeKey('ES256', 'privy-1');
    return {
      iss: 'privy.io',
      jwks: ['/api/v1/apps/app_1/jwks.json', { keys: [key.jwk] }],
      token: (aud) => token(key, { typ: 'JWT' }, { sid: randomUUID(), iss: 'privy.io', ...times(), aud, sub: 'did:privy:1' }),
    };
  },
  // dynamic.xyz: RS256, an `iss` without a scheme, a set with keys for other uses.
  dynamic() {
    const key = makeKey('RS256', 'dynamic-1');
    const other = makeKey('EdDSA', 'dynamic-ed');
    const iss = 'app.dynamicauth.com/env_1';
    return {
      iss,
      jwks: ['/api/v0/sdk/env_1/.well-known/jwks', { keys: [other.jwk, key.jwk] }],
      token: (aud) => token(key, { typ: 'JWT' }, { iss, aud, sub: 'user-1', ...times(), scope: 'user:basic' }),
    };
  },
  // Firebase: RS256, the keys as certificates, kid → PEM, at an address of Google's.
  firebase() {
    const key = makeKey('RS256', '9d2f');
    const iss = 'https://securetoken.google.com/project-1';
    return {
      iss,
      jwks: ['/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com', { [key.kid]: certificate(key) }],
      token: (aud) => token(key, { typ: 'JWT' }, {
        iss, aud, auth_time: now(), user_id: 'uid1', sub: 'uid1', ...times(), email: 'ada@example.test',
        email_verified: false, firebase: { identities: {}, sign_in_provider: 'custom' },
      }),
    };
  },
  // AWS ALB: ES256, every part padded, `exp` and `iss` in the header too, one PEM a kid.
  alb() {
    const key = makeKey('ES256', '8f3c0d1e-0000-4000-8000-000000000001');
    const iss = 'https://cognito-idp.eu-west-1.amazonaws.com/pool_1';
    return {
      iss,
      jwks: [`/${key.kid}`, key.publicKey.export({ type: 'spki', format: 'pem' }), 'binary/octet-stream'],
      token: () => token(key, {
        iss, client: 'client-1', signer: 'arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/1', exp: now() + 120,
      }, { sub: 'user-1', email: 'ada@example.test', username: 'ada', exp: now() + 120, iss }, { padded: true }),
    };
  },
  // Zitadel: RS256, the project and every client as audience.
  zitadel() {
    const key = makeKey('RS256', '271894@zitadel');
    return {
      iss: base,
      jwks: ['/oauth/v2/keys', { keys: [{ ...key.jwk, alg: undefined }] }],
      token: (aud) => token(key, {}, {
        iss: base, aud: [aud, 'app-2@project', '223281986649719041'], sub: '170848145649959169', ...times(43_200), jti: 'V2_1',
      }),
    };
  },
  // Supabase: HS256 with the project's old secret (`alg: HS256`, a kid of its own) beside ES256.
  supabase() {
    const key = makeKey('ES256', 'supabase-es256');
    const old = { alg: 'HS256', kid: 'legacy', secret: options.secret };
    const iss = `${base}/auth/v1`;
    const claims = (aud) => ({
      iss, aud, sub: randomUUID(), ...times(), email: 'ada@example.test', phone: '', role: 'authenticated',
      aal: 'aal1', amr: [{ method: 'password', timestamp: now() }], session_id: randomUUID(), is_anonymous: false,
    });
    return {
      iss,
      jwks: ['/auth/v1/.well-known/jwks.json', { keys: [{ ...key.jwk, key_ops: ['verify'], ext: true }] }],
      token: (aud) => token(key, { typ: 'JWT' }, claims(aud)),
      old: (aud) => token(old, { typ: 'JWT' }, claims(aud)),
      tokenEndpoint: ['/auth/v1/token', (aud) => ({ access_token: token(old, { typ: 'JWT' }, claims(aud)), token_type: 'bearer', expires_in: 3600 })],
    };
  },
};

const like = KINDS[options.kind]();
serve((request, response) => {
  const url = new URL(request.url, 'http://issuer');
  const aud = url.searchParams.get('aud') ?? 'app';
  const [path, set, type] = like.jwks;
  if (url.pathname === path) {
    if (typeof set === 'string') send(response, 200, { 'content-type': type }, set);
    else json(response, set);
  } else if (url.pathname === like.discovery?.[0]) {
    json(response, like.discovery[1]);
  } else if (url.pathname === like.tokenEndpoint?.[0]) {
    json(response, like.tokenEndpoint[1](aud));
  } else if (url.pathname === '/token') {
    send(response, 200, { 'content-type': 'text/plain' }, url.searchParams.has('old') ? like.old(aud) : like.token(aud));
  } else {
    json(response, { error: 'not_found' }, 'application/json', 404);
  }
}, { iss: like.iss, jwks: like.jwks[0], token_endpoint: like.tokenEndpoint?.[0] });
