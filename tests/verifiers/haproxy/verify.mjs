// HAProxy's JWT check, with the rules of its blog. It reads no key set, only a public key in a file: the
// program writes the key that `kid` names, and starts a server for each key.
import { execFileSync, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { answer } from '../lib/answer.mjs';
import { served } from '../lib/server.mjs';

const configuration = (port, key, { issuer, audience }) => `
global
  maxconn 16
defaults
  mode http
  timeout client 10s
  timeout connect 10s
  timeout server 10s
frontend api
  bind 127.0.0.1:${port}
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
  http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request deny content-type text/plain string "unsupported alg" unless { var(txn.alg) -m str RS256 }
  http-request deny content-type text/plain string "iss" unless { var(txn.iss) -m str "${issuer}" }
  http-request deny content-type text/plain string "aud" unless { var(txn.aud) -m str "${audience}" }
  http-request deny content-type text/plain string "signature" unless { http_auth_bearer,jwt_verify(txn.alg,"${key}") -m int 1 }
  http-request set-var(txn.now) date()
  http-request deny content-type text/plain string "expired" if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request return status 200 content-type text/plain string "in"
`;

const version = () => `HAProxy ${/version (\S+)/.exec(execFileSync('haproxy', ['-v']).toString())[1]}`;

await answer(process.argv[2] === '--version' ? version() : '', (question) => {
  const servers = new Map();
  const start = (pem) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'haproxy-'));
    const [key, file] = ['key.pem', 'haproxy.cfg'].map((name) => path.join(folder, name));
    writeFileSync(key, pem);
    return served((port) => {
      writeFileSync(file, configuration(port, key, question));
      return spawn('haproxy', ['-db', '-q', '-f', file], { stdio: 'ignore' });
    });
  };
  return async (token) => {
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
    const { keys } = await (await fetch(question.jwks)).json();
    const key = keys?.find((key) => key.kid === kid);
    if (!key) throw new Error('no key of this kid to write into a file');
    const pem = createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    if (!servers.has(pem)) servers.set(pem, await start(pem));
    const url = `http://127.0.0.1:${servers.get(pem)}/`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    if (response.status !== 200) throw new Error(await response.text());
  };
});
