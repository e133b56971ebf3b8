// The shell scripts in a workflow, as GitHub runs them. Options: `file`, and the folder `to` write to.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import YAML from 'yaml';

import { client } from '../lib/client.mjs';

client(async ({ file, to }) => {
  const { jobs } = YAML.parse(readFileSync(file, 'utf8'));
  const written = [];
  for (const [name, job] of Object.entries(jobs)) {
    for (const [n, { run }] of job.steps.entries()) {
      if (!run) continue;
      const script = path.join(to, `${path.basename(file)}-${name}-${n}.sh`);
      writeFileSync(script, `#!/usr/bin/env bash\nset -eo pipefail\n${run}`);
      written.push(script);
    }
  }
  return written;
});
