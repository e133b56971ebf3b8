// glewlwyd, an OpenID server in C, with an ES512 key and a user who has logged in. Its login page needs
// a browser with JavaScript, so the session's cookie is added here, on the way to it. Options: `iss`.
import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { body, options, serve } from '../lib/serve.mjs';

const root = fileURLToPath(new URL('../../../target/tools/glewlwyd/usr', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'glewlwyd-'));
const [database, conf] = ['glewlwyd.db', 'glewlwyd.conf'].map((name) => path.join(folder, name));
const secret = 'a-secret-of-the-tests';
const free = net.createServer().listen(0, '127.0.0.1');
await once(free, 'listening');
const inner = free.address().port;
await new Promise((closed) => free.close(closed));
const base = `http://127.0.0.1:${inner}`;

execFileSync('sqlite3', [database], { input: readFileSync(`${root}/share/dbconfig-common/data/glewlwyd/install/sqlite3`) });
writeFileSync(conf, `
port = ${inner}
bind_address = "127.0.0.1"
external_url = "${new URL(options.iss).origin}"
login_url = "login.html"
static_files_path = "${root}/share/glewlwyd/webapp/"
api_prefix = "api"
cookie_domain = ""
cookie_secure = 0
session_expiration = 86400
session_key = "GLEWLWYD2_SESSION_ID"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "${root}/lib/glewlwyd/user"
client_module_path = "${root}/lib/glewlwyd/client"
user_auth_scheme_module_path = "${root}/lib/glewlwyd/scheme"
plugin_module_path = "${root}/lib/glewlwyd/plugin"
hash_algorithm = "SHA512"
log_mode = "console"
log_level = "ERROR"
database = { type = "sqlite3"; path = "${database}"; };
`);
const glewlwyd = spawn(`${root}/bin/glewlwyd`, [`--config-file=${conf}`], { stdio: 'ignore' });
process.on('exit', () => glewlwyd.kill());

let cookie;
async function call(method, to, json) {
  const headers = { 'content-type': 'application/json', ...(cookie && { cookie }) };
  const answer = await fetch(`${base}/api${to}`, { method, headers, body: JSON.stringify(json) });
  cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
  if (answer.status !== 200) throw new Error(`${method} ${to}: ${answer.status} ${await answer.text()}`);
}
async function login(username, password) {
  cookie = undefined;
  for (let tries = 0; ; tries++) {
    try {
      return await call('POST', '/auth/', { username, password });
    } catch (error) {
      if (tries > 600) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-521' });
const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'glewlwyd-1', alg: 'ES512', use: 'sig' };
await login('admin', 'password');
await call('POST', '/mod/plugin/', {
  module: 'oidc',
  name: 'oidc',
  display_name: 'OpenID Connect',
  order_rank: 0,
  parameters: {
    iss: options.iss,
    'jwks-private': JSON.stringify({ keys: [jwk] }),
    'jwks-show': true,
    'jwt-type': 'ecdsa',
    'jwt-key-size': '512',
    'access-token-duration': 3600,
    'refresh-token-duration': 86_400,
    'code-duration': 600,
    'auth-type-code-enabled': true,
    'auth-type-refresh-enabled': true,
    'subject-type': 'public',
    'pkce-allowed': true,
    'allowed-scope': ['openid'],
    scope: [],
  },
});
await call('POST', '/client/', {
  client_id: 'app',
  name: 'app',
  confidential: true,
  enabled: true,
  client_secret: secret,
  password: secret,
  redirect_uri: ['https://app.example.test/cb'],
  authorization_type: ['code', 'refresh_token'],
  token_endpoint_auth_method: ['client_secret_basic', 'client_secret_post'],
  scope: ['openid'],
});
await call('POST', '/user/', { username: 'ada', name: 'Ada', password: secret, enabled: true, scope: ['openid', 'g_profile'] });
await login('ada', secret);
await call('PUT', '/auth/grant/app/', { scope: 'openid' });

serve(async (request, response) => {
  const sent = await body(request);
  const headers = { ...request.headers, host: `127.0.0.1:${inner}` };
  const authorizes = request.url.startsWith('/api/oidc/auth?');
  if (authorizes) headers.cookie = cookie;
  const to = new URL(request.url, base);
  if (authorizes) to.searchParams.set('g_continue', '');
  const on = http.request(to, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  on.on('error', () => response.writeHead(502).end());
  on.end(sent);
}, { jwks: '/api/oidc/jwks' });
