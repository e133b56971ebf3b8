// The functions of docs/client.md under npm's own `convex` client, while the proxy goes away and comes back.
// The sync server only knows who is authenticated; the issuer, the proxy and the client are real.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ConvexClient } from 'convex/browser';
import { transform } from 'esbuild';
import { WebSocket, WebSocketServer } from 'ws';

import { assert, client, decode } from '../lib/client.mjs';
import { makeKey, now, token as sign } from '../lib/keys.mjs';
import { body, json, send } from '../lib/serve.mjs';

const PATIENCE = 45_000;
const closers = [];

async function listen(handler, port = 0) {
  const server = http.createServer(handler).listen(port, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

async function freePort() {
  const { server, port } = await listen(() => {});
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until `seen` holds; what happened says why it did not. */
async function until(what, seen, happened) {
  for (let waited = 0; !seen(); waited += 20) {
    assert(waited < PATIENCE, `${what}; what happened: ${happened.join(' | ')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function issuer() {
  const key = makeKey('ES384', 'k1');
  const other = makeKey('ES384', 'k1');
  const { url } = await listen((request, response) => {
    if (request.url === '/jwks') return json(response, { keys: [key.jwk] });
    if (request.url !== '/.well-known/openid-configuration') return send(response, 404, {}, '');
    json(response, { issuer: url, jwks_uri: `${url}/jwks`, token_endpoint: `${url}/token` });
  });
  const mint = (seconds, by = key) =>
    sign(by, { typ: 'JWT' }, { iss: url, aud: 'my-app', sub: 'ada', iat: now(), exp: now() + seconds, jti: Math.random() });
  return { url, mint, forge: () => mint(60, other) };
}

/** The program on one port and one data directory, as often as it is started. */
function program(binary, upstream, port) {
  const folder = mkdtempSync(join(tmpdir(), 'convex-client-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  return async () => {
    const admin = await freePort();
    const child = spawn(
      binary,
      ['run', '--upstream', upstream, '--public-url', `http://127.0.0.1:${port}`, '--threads', '1', '--log', 'warn']
        .concat(['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`, '--data-dir', folder]),
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const ended = once(child, 'exit');
    closers.push(() => child.kill('SIGKILL'));
    return async () => {
      child.kill('SIGTERM');
      await ended;
    };
  };
}

/** Convex's side of the WebSocket: who is authenticated, and until when. */
async function syncServer() {
  const { server, url } = await listen(() => {});
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    let [querySet, identity, time, end] = [0, 0, 0n, undefined];
    const stamp = () => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(time);
      return bytes.toString('base64');
    };
    const move = (to) => {
      const startVersion = { querySet, identity, ts: stamp() };
      time++;
      ({ querySet = querySet, identity = identity } = to);
      const endVersion = { querySet, identity, ts: stamp() };
      socket.send(JSON.stringify({ type: 'Transition', startVersion, endVersion, modifications: [] }));
    };
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.type === 'ModifyQuerySet') move({ querySet: message.newVersion });
      if (message.type !== 'Authenticate') return;
      clearTimeout(end);
      move({ identity: message.baseVersion + 1 });
      if (message.tokenType !== 'User') return;
      const left = decode(message.value).claims.exp * 1000 - Date.now();
      const expired = { type: 'AuthError', error: 'token expired', authUpdateAttempted: false };
      end = setTimeout(() => socket.send(JSON.stringify({ ...expired, baseVersion: identity - 1 })), left);
    });
    socket.on('close', () => clearTimeout(end));
  });
  closers.push(() => sockets.clients.forEach((socket) => socket.terminate()));
  return url;
}

async function snippet(name) {
  const page = readFileSync(new URL('../../../docs/client.md', import.meta.url), 'utf8');
  const block = new RegExp(`\`\`\`ts\\n// ${name}\\.ts\\n([\\s\\S]*?)\`\`\``).exec(page);
  assert(block, `a block ${name}.ts in docs/client.md`);
  const { code } = await transform(block[1], { loader: 'ts', format: 'esm' });
  return (await import(`data:text/javascript,${encodeURIComponent(code)}`))[name];
}

/** One page: Convex's client with the hook's function, and all that becomes of it. */
async function page(proxy, getToken, { countersign, retry }) {
  const happened = [];
  const auth = [];
  const convex = new ConvexClient(await syncServer(), {
    webSocketConstructor: WebSocket,
    unsavedChangesWarning: false,
    skipConvexDeploymentUrlCheck: true,
    authRefreshTokenLeewaySeconds: 2,
    logger: false,
  });
  const fetchToken = async ({ forceRefreshToken }) => {
    const subject = await retry(() => getToken(forceRefreshToken));
    const made = subject ? await countersign(proxy, subject) : null;
    happened.push(made ? 'token' : 'null');
    return made;
  };
  convex.setAuth(fetchToken, (yes) => {
    auth.push(yes);
    happened.push(`authenticated ${yes}`);
  });
  closers.push(() => convex.close());
  const said = (word) => consoles.filter((line) => line.includes(proxy) && line.includes(word)).length;
  const tokens = () => happened.filter((what) => what === 'token').length;
  return { happened, auth, said, tokens };
}

const consoles = [];
const { warn, error } = console;
console.warn = console.error = (...parts) => consoles.push(parts.map(String).join(' '));
const rejections = [];
process.on('unhandledRejection', (error) => rejections.push(String(error)));

client(async ({ binary }) => {
  const functions = { countersign: await snippet('countersign'), retry: await snippet('retry') };
  const up = await issuer();

  /** The page loads while the proxy is away. Then the proxy goes away while a token ends. */
  const outages = async () => {
    const port = await freePort();
    const start = program(binary, up.url, port);
    const proxy = `http://127.0.0.1:${port}`;
    const seen = await page(proxy, async () => up.mint(6), functions);
    await until('a try while the proxy is away', () => seen.said('Next try') > 0, seen.happened);
    const stop = await start();
    await until('a login once the proxy is there', () => seen.auth.at(-1) === true, seen.happened);
    assert(!seen.auth.includes(false), 'nobody is logged out by a late proxy');
    await stop();
    const before = { tries: seen.said('Next try'), tokens: seen.tokens() };
    await until('tries at the next renewal', () => seen.said('Next try') > before.tries + 2, seen.happened);
    await start();
    await until('new tokens after it', () => seen.tokens() > before.tokens + 1, seen.happened);
    assert(!seen.auth.includes(false), `nobody is logged out by a restart: ${seen.happened.join(' | ')}`);
  };

  /** One 503 at a renewal, and an auth library that fails once. */
  const hiccups = async () => {
    const port = await freePort();
    await program(binary, up.url, port)();
    let refuse = 0;
    const { url: front } = await listen(async (request, response) => {
      const text = await body(request);
      if (refuse > 0) {
        refuse--;
        return send(response, 503, { 'retry-after': '1' }, '{"error":"temporarily_unavailable"}');
      }
      const { method, headers } = request;
      const type = { 'content-type': headers['content-type'] };
      const answer = await fetch(`http://127.0.0.1:${port}${request.url}`, { method, headers: type, body: text }).catch(() => null);
      send(response, answer?.status ?? 502, {}, (await answer?.text()) ?? '');
    });
    const forced = [];
    let fail = false;
    const getToken = async (force) => {
      forced.push(force);
      if (fail) {
        fail = false;
        throw new Error('the network changed');
      }
      return up.mint(6);
    };
    const seen = await page(front, getToken, functions);
    await until('a login', () => seen.tokens() > 1 && seen.auth.at(-1) === true, seen.happened);
    refuse = 1;
    fail = true;
    const before = seen.tokens();
    await until('tokens after them', () => refuse === 0 && !fail && seen.tokens() > before + 1, seen.happened);
    assert(!seen.auth.includes(false), `nobody is logged out by a 503: ${seen.happened.join(' | ')}`);
    assert(forced[0] === false && forced.includes(true), 'forceRefreshToken is passed on');
    assert(consoles.some((line) => line.includes('the network changed')), 'the library is told of in the console');
  };

  /** A refusal is final, and the console says why. */
  const refusal = async () => {
    const port = await freePort();
    await program(binary, up.url, port)();
    const proxy = `http://127.0.0.1:${port}`;
    const seen = await page(proxy, async () => up.forge(), functions);
    await until('an end', () => seen.auth.at(-1) === false, seen.happened);
    assert(seen.tokens() === 0 && seen.said('refuses the token: 400') === 2, `a refusal: ${consoles.join(' | ')}`);
    assert(seen.said('"code":"signature"') === 2, `its code: ${consoles.join(' | ')}`);
  };

  try {
    await Promise.all([outages(), hiccups(), refusal()]);
    assert(rejections.length === 0, `no rejection, not ${rejections.join(' | ')}`);
  } finally {
    Object.assign(console, { warn, error });
    closers.reverse().forEach((close) => close());
  }
  return { outages: true, hiccups: true, refusal: true };
});
