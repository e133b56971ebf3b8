// For verifiers that are servers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

// One server an address, each ended with the program.
process.setMaxListeners(0);

const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const open = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });

/** Starts a server on a free port, `start(port)` its process; gives the port when it listens. */
export async function served(start) {
  for (let tries = 0; tries < 5; tries++) {
    const port = await freePort();
    const server = start(port);
    let ended = false;
    server.on('exit', () => (ended = true));
    process.on('exit', () => server.kill());
    // Another may have taken the port meanwhile: then it ends, and there are others.
    for (let looks = 0; looks < 400 && !ended; looks++) {
      if ((await open(port)) && !ended) return port;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    server.kill();
  }
  throw new Error('the server does not listen');
}

/** The same address behind TLS, for those that read no other; the certificate is worth nothing. */
export async function behindTls(address) {
  const folder = mkdtempSync(path.join(tmpdir(), 'verifier-tls-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', cert];
  execFileSync('openssl', make, { stdio: 'ignore' });
  const url = new URL(address);
  const to = { host: url.hostname, port: url.port };
  const server = tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    const out = net.connect(to);
    for (const end of [socket, out]) end.on('error', () => (socket.destroy(), out.destroy()));
    socket.pipe(out).pipe(socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  url.protocol = 'https:';
  url.port = server.address().port;
  return url.href;
}
