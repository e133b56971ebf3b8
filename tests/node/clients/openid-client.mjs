// npm's openid-client (v6) through the proxy: login with PKCE, userinfo, and, with access tokens the
// provider takes back, introspection, refresh, revocation and logout. RS256 is expected throughout.
import * as oidc from 'openid-client';

import { Browser } from '../lib/browser.mjs';
import { assert, client, decode } from '../lib/client.mjs';

client(async ({ issuer, callback = 'https://app.example.test/cb', clientId = 'app', jwt, alg = 'RS256' }) => {
  const config = await oidc.discovery(
    new URL(issuer),
    clientId,
    {
      client_secret: 'a-secret-of-the-tests',
      id_token_signed_response_alg: alg,
      userinfo_signed_response_alg: clientId === 'app-jwt-userinfo' ? alg : undefined,
    },
    undefined,
    // v6 trusts the channel of the token endpoint alone; here the signature is checked as well.
    { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] },
  );
  const metadata = config.serverMetadata();
  assert(metadata.issuer === issuer, `issuer ${issuer}, not ${metadata.issuer}`);
  assert(metadata.jwks_uri.startsWith(issuer), `jwks_uri at the proxy, not ${metadata.jwks_uri}`);
  assert(metadata.id_token_signing_alg_values_supported.includes(alg), `${alg} in the discovery document`);

  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: 'openid email profile offline_access',
    prompt: 'consent',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  });
  const browser = new Browser();
  const back = await browser.login(url, callback);
  const tokens = await oidc.authorizationCodeGrant(config, back.url, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const id = decode(tokens.id_token);
  const out = {
    metadata,
    id_token: tokens.id_token,
    access_token: tokens.access_token,
    id_token_alg: id.header.alg,
    at_hash: id.claims.at_hash,
    refresh: Boolean(tokens.refresh_token),
  };

  out.userinfo = await oidc.fetchUserInfo(config, tokens.access_token, id.claims.sub);
  if (!jwt) return out;

  const access = decode(tokens.access_token);
  out.access_token_alg = access.header.alg;
  out.introspection = await oidc.tokenIntrospection(config, tokens.access_token, { token_type_hint: 'access_token' });

  const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  out.refreshed_id_token_alg = decode(fresh.id_token).header.alg;
  out.refreshed_access_token_alg = decode(fresh.access_token).header.alg;
  out.refreshed_userinfo = await oidc.fetchUserInfo(config, fresh.access_token, id.claims.sub);

  await oidc.tokenRevocation(config, fresh.access_token, { token_type_hint: 'access_token' });
  out.after_revocation = await oidc.tokenIntrospection(config, fresh.access_token);
  out.userinfo_after_revocation = await oidc
    .fetchUserInfo(config, fresh.access_token, id.claims.sub)
    .then(() => 'accepted', (error) => error.cause?.status ?? error.status ?? error.code);

  const logout = oidc.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: 'https://app.example.test/bye',
    state: 'logout-state',
  });
  const page = await browser.fetch(logout);
  assert(page.status === 200, `the provider's logout page, not ${page.status}: ${await page.clone().text()}`);
  const done = await browser.submit(page, { logout: 'yes' });
  out.logout = done.headers.get('location');
  return out;
});
