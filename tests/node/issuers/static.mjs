// The files of one folder (option `folder`), as any static host serves them.
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { options, send, serve } from '../lib/serve.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
serve(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://static');
  const file = path.join(options.folder, pathname === '/' ? 'index.html' : path.normalize(pathname));
  try {
    send(response, 200, { 'content-type': TYPES[path.extname(file)] ?? 'text/plain' }, await readFile(file));
  } catch {
    send(response, 404, {}, '');
  }
});
