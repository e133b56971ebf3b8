// A YAML file as JSON. Option: `file`.
import { readFileSync } from 'node:fs';

import YAML from 'yaml';

import { client } from '../lib/client.mjs';

client(async ({ file }) => YAML.parse(readFileSync(file, 'utf8')));
