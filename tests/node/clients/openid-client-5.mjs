// npm's openid-client (v5), which checks at_hash, c_hash and s_hash in every flow. Options: `flow`
// (`code`, `id_token`, `id_token token`, `code id_token`, `code id_token token`), `mode`
// (`query`, `fragment`, `form_post`).
import { createHash } from 'node:crypto';

import { Issuer, generators } from 'openid-client-5';

import { Browser } from '../lib/browser.mjs';
import { client, decode } from '../lib/client.mjs';

client(async ({ issuer, callback = 'https://app.example.test/cb', flow = 'code', mode, alg = 'RS256' }) => {
  const found = await Issuer.discover(issuer);
  const app = new found.Client({
    client_id: 'app',
    client_secret: 'a-secret-of-the-tests',
    redirect_uris: [callback],
    response_types: [flow],
    id_token_signed_response_alg: alg,
  });
  const checks = { response_type: flow, nonce: generators.nonce(), state: generators.state() };
  const pkce = flow.includes('code') ? generators.codeVerifier() : undefined;
  const url = app.authorizationUrl({
    redirect_uri: callback,
    scope: 'openid email',
    response_type: flow,
    ...(mode && { response_mode: mode }),
    ...(pkce && { code_challenge: createHash('sha256').update(pkce).digest('base64url'), code_challenge_method: 'S256' }),
    nonce: checks.nonce,
    state: checks.state,
  });
  const back = await new Browser().login(url, callback);
  let parameters;
  if (back.form) {
    parameters = app.callbackParams({ method: 'POST', body: Object.fromEntries(back.form), url: callback });
  } else if (back.url.hash) {
    parameters = Object.fromEntries(new URLSearchParams(back.url.hash.slice(1)));
  } else {
    parameters = app.callbackParams(back.url.href);
  }
  const front = parameters.id_token && decode(parameters.id_token);
  const tokens = await app.callback(callback, parameters, { ...checks, code_verifier: pkce });
  const id = decode(tokens.id_token);
  return {
    placed: back.form ? 'form' : back.url.hash ? 'fragment' : 'query',
    front_alg: front?.header.alg,
    front_hashes: front && { at: front.claims.at_hash, c: front.claims.c_hash, s: front.claims.s_hash },
    id_token: tokens.id_token,
    access_token: tokens.access_token,
    id_token_alg: id.header.alg,
    at_hash: id.claims.at_hash,
    claims: tokens.claims(),
  };
});
