// Authorization code with PKCE by hand, no library: what matters is `exchange` below.
// The two settings come from the address (?issuer=…&client=…) and are kept for the way back.
const settings = Object.fromEntries(
  ['issuer', 'client'].map((name) => {
    const given = new URLSearchParams(location.search).get(name);
    if (given) sessionStorage.setItem(name, given);
    return [name, sessionStorage.getItem(name)];
  }),
);
const callback = location.origin + location.pathname;
const say = (text) => { document.querySelector('#state').textContent = text; };

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function json(url, form) {
  const answer = await fetch(url, form && { method: 'POST', body: new URLSearchParams(form) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.error}: ${body.error_description}`);
  return body;
}
const discover = () => json(`${settings.issuer}/.well-known/openid-configuration`);

/**
 * The countersigned twin of a token (RFC 8693), which a client gives its backend. The function of
 * docs/client.md does the same and outlives a restart of the proxy: take that one for Convex.
 */
export async function exchange(token) {
  const answer = await json(`${settings.issuer}/_countersign/token`, {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    subject_token: token,
  });
  return answer.access_token;
}

async function login() {
  const { authorization_endpoint } = await discover();
  const [verifier, state, nonce] = [random(), random(), random()];
  sessionStorage.setItem('login', JSON.stringify({ verifier, state, nonce }));
  const url = new URL(authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: settings.client,
    redirect_uri: callback,
    scope: 'openid email',
    state,
    nonce,
    code_challenge: base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))),
    code_challenge_method: 'S256',
  });
  location.assign(url);
}

function show(name, token) {
  const part = (i) => JSON.parse(new TextDecoder().decode(
    Uint8Array.from(atob(token.split('.')[i].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))));
  const row = document.createElement('tr');
  row.dataset.token = name;
  row.dataset.jwt = token;
  for (const text of [name, part(0).alg, part(0).typ ?? '–', part(1).aud]) {
    row.insertCell().textContent = text;
  }
  document.querySelector('tbody').append(row);
  document.querySelector('table').hidden = false;
}

async function finish(query) {
  const { verifier, state } = JSON.parse(sessionStorage.getItem('login') ?? '{}');
  sessionStorage.removeItem('login');
  history.replaceState(null, '', callback);
  if (query.get('state') !== state) throw new Error('this login was not started here');
  if (query.has('error')) throw new Error(query.get('error_description') ?? query.get('error'));
  const { token_endpoint } = await discover();
  const tokens = await json(token_endpoint, {
    grant_type: 'authorization_code',
    code: query.get('code'),
    client_id: settings.client,
    redirect_uri: callback,
    code_verifier: verifier,
  });
  show('ID token', tokens.id_token);
  show('access token', tokens.access_token);
  show('countersigned', await exchange(tokens.access_token));
  say('Logged in.');
}

const failed = (error) => say(`Failed: ${error.message}`);
document.querySelector('#login').addEventListener('click', () => login().catch(failed));
const query = new URLSearchParams(location.search);
if (query.has('state')) finish(query).catch(failed);
