// What every server of the tests has in common: options in, one line out when it listens, and an end
// when the test that started it ends (its standard input closes).
import http from 'node:http';

/** The options a test gave, as JSON in the first argument. */
export const options = JSON.parse(process.argv[2] ?? '{}');

/** Listens on 127.0.0.1 (port 0: a free one) and prints `{"url": …}` when it does. */
export function serve(handler, extra = {}) {
  const server = http.createServer(handler);
  server.listen(options.port ?? 0, '127.0.0.1', () => ready(server.address().port, extra));
  return server;
}

export function ready(port, extra = {}) {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}`, ...extra }));
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
}

export async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

export function send(response, status, headers, text) {
  response.writeHead(status, headers);
  response.end(text);
}

export function json(response, value, type = 'application/json', status = 200) {
  send(response, status, { 'content-type': type }, JSON.stringify(value));
}
