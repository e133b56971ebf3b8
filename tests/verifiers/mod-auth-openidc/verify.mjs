// Apache with mod_auth_openidc as a resource server: a server for each address, the bearer token asked
// of it. The module checks signature and times, `Require claim` the issuer and the audience. It reads key
// sets over https alone.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { answer } from '../lib/answer.mjs';
import { behindTls, served } from '../lib/server.mjs';

const MODULES = process.env.APACHE_MODULES ?? '/usr/lib/apache2/modules';
const configuration = (folder, port, { issuer, jwks, audience }) => `
ServerName localhost
ServerRoot "${folder}"
DefaultRuntimeDir "${folder}"
PidFile "${folder}/pid"
ErrorLog "${folder}/error.log"
Listen 127.0.0.1:${port}
${['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_openidc']
  .map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`)
  .join('\n')}
StartServers 1
ServerLimit 1
ThreadLimit 4
ThreadsPerChild 4
MaxRequestWorkers 4
DocumentRoot "${folder}"
OIDCOAuthVerifyJwksUri ${jwks}
OIDCOAuthSSLValidateServer Off
<Location "/">
  AuthType oauth20
  <RequireAll>
    Require claim "iss:${issuer}"
    Require claim "aud:${audience}"
  </RequireAll>
</Location>
`;

const version = () => {
  const apache = /Apache\/(\S+)/.exec(execFileSync('apache2', ['-v']).toString())[1];
  const module = execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'libapache2-mod-auth-openidc']).toString();
  return `mod_auth_openidc ${module} in Apache ${apache}`;
};

await answer(process.argv[2] === '--version' ? version() : '', async (question) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'mod-auth-openidc-'));
  const jwks = await behindTls(question.jwks);
  const [file, log] = ['apache.conf', 'error.log'].map((name) => path.join(folder, name));
  writeFileSync(path.join(folder, 'page'), 'in');
  const port = await served((port) => {
    writeFileSync(file, configuration(folder, port, { ...question, jwks }));
    return spawn('apache2', ['-DFOREGROUND', '-f', file], { stdio: 'ignore' });
  });
  return async (token) => {
    const seen = readFileSync(log, 'utf8').length;
    const response = await fetch(`http://127.0.0.1:${port}/page`, { headers: { authorization: `Bearer ${token}` } });
    if (response.status === 200) return;
    const written = readFileSync(log, 'utf8').slice(seen);
    const lines = written.split('\n').filter((line) => /:error\]/.test(line)).map((line) => line.replace(/^(\[[^\]]*\] )*/, ''));
    throw new Error(lines[0] ?? response.headers.get('www-authenticate') ?? `status ${response.status}`);
  };
});
