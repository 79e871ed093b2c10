#!/usr/bin/env node
// Replays the recorded exchanges with the real Consul against bin/waypost:
//   node test/corpus/run.mjs [dns|portable|http ...]
// dns: over the batched system calls; portable: without them; http: the API.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const waypost = join(here, '../../bin/waypost');
const jobs = String(availableParallelism());

const work = mkdtempSync(join(tmpdir(), 'waypost-corpus-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

// The scenarios change the upstream's mind about a name within its TTL, so nothing may be kept.
function agentWith(config) {
  const file = join(work, `extra-${Object.keys(config).join('-')}.json`);
  writeFileSync(file, JSON.stringify(config));
  return `"${waypost}" agent -config-file {config} -config-file "${file}"`;
}

function replay(script, agent, targets) {
  const args = [join(here, script), '--jobs', jobs, '--agent', agent, ...targets];
  return spawnSync(process.execPath, args, { stdio: 'inherit' }).status === 0;
}

const suites = {
  dns: () => replay('dns-replay.mjs', agentWith({ forwarder: { cache: false } }), [join(here, 'dns')]),
  portable: () =>
    replay('dns-replay.mjs', agentWith({ batched_system_calls: false, forwarder: { cache: false } }), [join(here, 'dns')]),
  http: () => replay('http-replay.mjs', `"${waypost}" agent -config-file {config}`, [join(here, 'http')]),
};

const asked = process.argv.slice(2);
let good = true;
for (const [name, run] of Object.entries(suites)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`== ${name}`);
  good = run() && good;
}
process.exit(good ? 0 : 1);
