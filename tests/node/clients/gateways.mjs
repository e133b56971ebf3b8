// Three gateways that cannot run here, as they say of themselves they check a bearer token; on Node's
// own crypto and `fetch`, with nothing of the other verifiers. Options: `gateway`, `config` (the block
// of its page, YAML or JSON), `token`. The answer: `{ok}`, or what it was refused for.
//
// aws      docs.aws.amazon.com, "Controlling access to HTTP APIs with JWT authorizers" and the quotas
// oci      docs.oracle.com, "Validating Tokens to Add Authentication…" and its prerequisites
// openidc  lua-resty-openidc 1.8's `bearer_jwt_verify`, as APISIX's openid-connect calls it
import { createPublicKey, verify } from 'node:crypto';
import { parse } from 'yaml';

import { client } from '../lib/client.mjs';

const HASH = { RS256: 'sha256', RS384: 'sha384', RS512: 'sha512' };
const BASE64URL = /^[A-Za-z0-9_-]+$/;
const now = () => Math.floor(Date.now() / 1000);

class Refused extends Error {}
const demand = (good, why) => {
  if (!good) throw new Refused(why);
};

function decoded(token) {
  const parts = token.split('.');
  demand(parts.length === 3 && parts.every((part) => BASE64URL.test(part)), 'not a compact JWS');
  const [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  return { header, claims, input: `${parts[0]}.${parts[1]}`, signature: Buffer.from(parts[2], 'base64url') };
}

async function document(url, { bytes = Infinity, milliseconds = 10_000 } = {}) {
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(milliseconds) });
  demand(answer.status === 200, `${url}: ${answer.status}`);
  const body = Buffer.from(await answer.arrayBuffer());
  demand(body.length <= bytes, `${url}: ${body.length} bytes`);
  return JSON.parse(body);
}

/** The key that `kid` names, read from `n` and `e` alone. */
function rsaKey(keys, kid, fits = () => true) {
  demand(typeof kid === 'string', 'kid is missing');
  const named = keys.filter((key) => key.kid === kid && key.kty === 'RSA' && fits(key));
  demand(named.length === 1, `${named.length} keys of this kid`);
  const [{ n, e }] = named;
  demand(BASE64URL.test(n) && BASE64URL.test(e), 'n or e is not base64url');
  return createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' });
}

function signed({ header, input, signature }, key) {
  demand(HASH[header.alg], `algorithm ${header.alg}`);
  demand(verify(HASH[header.alg], Buffer.from(input), key, signature), 'signature');
}

const audiences = (claims) => [claims.aud ?? []].flat();
const ours = (claims, wanted) => audiences(claims).some((audience) => wanted.includes(audience));

const GATEWAYS = {
  async aws(config, token) {
    const { issuer, audience } = Object.values(config.Resources.Api.Properties.Auth.Authorizers)[0].JwtConfiguration;
    // The request line and all header values together.
    demand(token.length <= 10_240 - 1024, 'the header is too long');
    const { header, claims, ...rest } = decoded(token);
    const limits = { bytes: 150_000, milliseconds: 1500 };
    const metadata = await document(`${issuer}/.well-known/openid-configuration`, limits);
    demand(metadata.issuer === issuer, 'metadata of another issuer');
    const { keys } = await document(metadata.jwks_uri, limits);
    signed({ header, ...rest }, rsaKey(keys, header.kid));
    demand(claims.iss === issuer, 'iss');
    // `client_id` counts where there is no `aud`.
    demand('aud' in claims ? ours(claims, audience) : audience.includes(claims.client_id), 'aud');
    demand(claims.exp > now(), 'exp');
    demand(claims.nbf === undefined || claims.nbf <= now(), 'nbf');
    demand(claims.iat === undefined || claims.iat <= now(), 'iat');
  },
  async oci(config, token) {
    const { validationPolicy: policy, maxClockSkewInSeconds: skew } = config.requestPolicies.authentication;
    const { header, claims, ...rest } = decoded(token);
    const { keys } = await document(policy.uri);
    demand(keys.every((key) => typeof key.kty === 'string'), 'only JWK-formatted keys');
    const key = rsaKey(keys, header.kid, (jwk) => jwk.alg === header.alg && jwk.use === 'sig');
    const bits = key.asymmetricKeyDetails.modulusLength;
    demand(bits >= 2048 && bits <= 4096, `${bits} bits`);
    signed({ header, ...rest }, key);
    demand(policy.additionalValidationPolicy.issuers.includes(claims.iss), 'iss');
    demand(ours(claims, policy.additionalValidationPolicy.audiences), 'aud');
    demand(claims.exp > now() - skew, 'exp');
    demand(claims.nbf === undefined || claims.nbf <= now() + skew, 'nbf');
  },
  async openidc(config, token) {
    const plugin = config.routes[0].plugins['openid-connect'];
    demand(plugin.bearer_only && plugin.use_jwks, 'not the branch that verifies locally');
    const { header, claims, ...rest } = decoded(token);
    demand(header.alg === plugin.token_signing_alg_values_expected, `algorithm ${header.alg}`);
    const metadata = await document(plugin.discovery);
    const { keys } = await document(metadata.jwks_uri);
    signed({ header, ...rest }, rsaKey(keys, header.kid, (jwk) => !jwk.use || jwk.use === 'sig'));
    const issuers = plugin.claim_validator?.issuer?.valid_issuers ?? [metadata.issuer];
    demand(issuers.includes(claims.iss), 'iss');
    const { match_with_client_id: named } = plugin.claim_validator?.audience ?? {};
    demand(!named || ours(claims, [plugin.client_id]), 'aud');
    demand(claims.exp === undefined || claims.exp + 120 > now(), 'exp');
  },
};

client(async ({ gateway, config, token }) => {
  try {
    await GATEWAYS[gateway](parse(config), token);
    return { ok: true };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, why: error.message };
  }
});
