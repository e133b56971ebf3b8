// Hooks of docs/issuers under the real `ConvexProviderWithAuth` and the real libraries, each with a client of
// its own that answers at once: a hook that gives Convex a new function, or says "loading" while it fetches a
// token, starts the login again and again.
import { readFileSync } from 'node:fs';

import { build } from 'esbuild';
import { Window } from 'happy-dom';

import { client } from '../lib/client.mjs';

const window = new Window({ url: 'https://app.example.com/' });
for (const name of ['window', 'document', 'location', 'history', 'sessionStorage', 'localStorage', 'navigator']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true });
}
const { createElement } = await import('react');
const { createRoot } = await import('react-dom/client');
const { ConvexProviderWithAuth } = await import('convex/react');
const { LogtoProvider } = await import('@logto/react');
const { AuthProvider } = await import('react-oidc-context');
const { User, UserManager } = await import('oidc-client-ts');

const docs = new URL('../../../docs/', import.meta.url);
const block = (page, pattern) => pattern.exec(readFileSync(new URL(page, docs), 'utf8'))[1];

/** The hook of a page; its exchange gives the token back. */
async function hook(page, name) {
  const files = {
    './countersign': 'export const countersign = async (_proxy: string, token: string) => token;',
    './retry': block('client.md', /```ts\n(\/\/ retry\.ts\n[\s\S]*?)```/),
  };
  const plugin = {
    name: 'pages',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^\.\// }, ({ path }) => ({ path, namespace: 'page' }));
      onResolve({ filter: /^[^.]/ }, ({ path }) => ({ path: import.meta.resolve(path), external: true }));
      onLoad({ filter: /.*/, namespace: 'page' }, ({ path }) => ({ contents: files[path], loader: 'ts' }));
    },
  };
  const contents = block(`issuers/${page}.md`, /```tsx\n([\s\S]*?)```/);
  const stdin = { contents, loader: 'tsx', resolveDir: '.' };
  const options = { bundle: true, format: 'esm', jsx: 'automatic', write: false, plugins: [plugin] };
  const { outputFiles } = await build({ stdin, ...options });
  return (await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`))[name];
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

class Logto {
  isAuthenticated = async () => true;
  isSignInRedirected = async () => false;
  getIdToken = () => turn().then(() => 'id');
  getAccessToken = () => turn().then(() => 'access');
  constructor() {
    const others = ['clearAccessToken', 'clearAllTokens', 'fetchUserInfo', 'getAccessTokenClaims', 'getIdTokenClaims'];
    others.push('getOrganizationToken', 'getOrganizationTokenClaims', 'getRefreshToken', 'signIn', 'signOut');
    for (const name of others) this[name] = async () => {};
  }
}

class Manager extends UserManager {
  #made = 0;
  #user = () =>
    new User({ id_token: `id-${this.#made++}`, access_token: 'a', token_type: 'Bearer', profile: { sub: 'ada' }, expires_at: Date.now() / 1000 + 3600 });
  getUser = async () => this.#user();
  signinSilent = async () => {
    await turn();
    const user = this.#user();
    await this.events.load(user);
    return user;
  };
}

/** Mounts the provider with a hook; how often the login began until it was quiet. */
async function logins(useAuth, around) {
  let began = 0;
  const tokens = [];
  const convex = {
    clearAuth() {},
    async setAuth(fetchToken, onChange) {
      began++;
      for (const forceRefreshToken of [false, true]) {
        tokens.push(await fetchToken({ forceRefreshToken }));
        onChange(true);
      }
    },
  };
  const place = window.document.body.appendChild(window.document.createElement('div'));
  const root = createRoot(place);
  root.render(around(createElement(ConvexProviderWithAuth, { client: convex, useAuth })));
  // Quiet: two tokens are there, and the turns after them bring no third. A loop is ended.
  for (let quiet = 0, seen = 0; (quiet < 40 || tokens.length < 2) && began < 20; quiet++, seen = tokens.length) {
    if (tokens.length !== seen) quiet = 0;
    await turn();
  }
  root.unmount();
  return { began, tokens };
}

client(async () => {
  const logto = { config: { endpoint: 'https://auth.example.com', appId: 'my-app' }, LogtoClientClass: Logto };
  const settings = { authority: 'https://auth.example.com', client_id: 'my-app', redirect_uri: 'https://app.example.com' };
  const userManager = new Manager(settings);
  return {
    logto: await logins(await hook('logto', 'useAuthFromLogto'), (child) => createElement(LogtoProvider, logto, child)),
    keycloak: await logins(await hook('keycloak', 'useAuthFromKeycloak'), (child) => createElement(AuthProvider, { userManager }, child)),
  };
});
