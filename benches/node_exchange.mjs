// The usual way without countersign: a route on node:http with `jose` that verifies the issuer's token and
// signs it again as RS256. Keys are imported once; one process, one event loop.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [, , port, jwksFile, issuer, modules] = process.argv;
const require = createRequire(modules + '/');
const { createLocalJWKSet, generateKeyPair, jwtVerify, SignJWT } = await import(require.resolve('jose'));

const keys = createLocalJWKSet(JSON.parse(readFileSync(jwksFile, 'utf8')));
const { privateKey } = await generateKeyPair('RS256');

async function exchange(form) {
  const token = form.get('subject_token');
  const { payload } = await jwtVerify(token, keys, { issuer, algorithms: ['ES384', 'ES256'] });
  const access_token = await new SignJWT(payload)
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'node' })
    .sign(privateKey);
  const expires_in = payload.exp - Math.floor(Date.now() / 1000);
  return { access_token, issued_token_type: 'urn:ietf:params:oauth:token-type:jwt', token_type: 'N_A', expires_in };
}

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    let status = 200;
    let answer;
    try {
      answer = await exchange(new URLSearchParams(Buffer.concat(chunks).toString()));
    } catch (error) {
      status = 400;
      answer = { error: 'invalid_grant', error_description: error.code };
    }
    const body = JSON.stringify(answer);
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  });
}).listen(Number(port), '127.0.0.1');
