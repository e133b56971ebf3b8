// worker/steam.mjs on Cloudflare's own runtime (miniflare, workerd), and a Steam for it: an OpenID 2.0
// provider that answers at once and says yes only to what it signed itself.
import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import { fileURLToPath } from 'node:url';

import { Miniflare } from 'miniflare';

import { body, options, ready } from '../lib/serve.mjs';

const OPENID = 'http://specs.openid.net/auth/2.0';
const secret = randomBytes(32);
const SIGNED = ['op_endpoint', 'claimed_id', 'identity', 'return_to', 'response_nonce', 'assoc_handle'];
const signature = (query) =>
  createHmac('sha1', secret).update(SIGNED.map((k) => `${k}:${query.get(`openid.${k}`)}\n`).join('')).digest('base64');

const steam = http.createServer(async (request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${steam.address().port}`);
  if (request.method === 'POST') {
    const query = new URLSearchParams(await body(request));
    response.end(`ns:${OPENID}\nis_valid:${query.get('openid.sig') === signature(query)}\n`);
    return;
  }
  const id = `${url.origin}/openid/id/76561197960287930`;
  const query = new URLSearchParams({
    'openid.ns': OPENID,
    'openid.mode': 'id_res',
    'openid.op_endpoint': `${url.origin}/openid/login`,
    'openid.claimed_id': id,
    'openid.identity': id,
    'openid.return_to': url.searchParams.get('openid.return_to'),
    'openid.response_nonce': `${new Date().toISOString()}${randomBytes(6).toString('hex')}`,
    'openid.assoc_handle': '1234567890',
    'openid.signed': ['signed', ...SIGNED].join(','),
  });
  query.set('openid.sig', signature(query));
  response.writeHead(302, { location: `${query.get('openid.return_to')}?${query}` }).end();
});
await new Promise((resolve) => steam.listen(0, '127.0.0.1', resolve));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const worker = new Miniflare({
  host: '127.0.0.1',
  port: options.port ?? 0,
  cf: false,
  modules: true,
  scriptPath: fileURLToPath(new URL('../worker/steam.mjs', import.meta.url)),
  compatibilityDate: '2025-10-01',
  bindings: {
    ISSUER: options.iss,
    AUDIENCE: options.aud,
    STEAM: `http://127.0.0.1:${steam.address().port}`,
    KEY: JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'steam-1' }),
  },
});
const url = await worker.ready;
ready(url.port, { jwks: '/jwks', steam: `http://127.0.0.1:${steam.address().port}` });
process.stdin.on('end', () => worker.dispose());
