#!/usr/bin/env node
// Replays the recorded exchanges with the real Consul against bin/waypost:
//   node test/corpus/run.mjs [dns|portable|http ...]
// dns: over the batched system calls; portable: without them; http: the API.
// HTTP scenarios that need endpoints which do not exist yet are listed below with the reason.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const waypost = join(here, '../../bin/waypost');
const jobs = String(availableParallelism());

/** File name prefix → what its steps need. */
const later = {
  'acl-': 'the whole ACL API, KV',
  'agent-restart': 'KV, events',
  consistency: 'KV',
  'coordinate-a': 'coordinates',
  event: 'events',
  'http-config': 'events, KV',
  'http-general': 'KV, transactions',
  'index-blocking': 'KV',
  kv: 'KV',
  'old-examples': 'KV, locks, events',
  operator: 'operator endpoints',
  'session-checks': 'KV',
  'session-ttl': 'KV locks, transactions',
  snapshot: 'snapshots',
  txn: 'transactions',
};

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
  http: () => {
    const isLater = (file) => Object.keys(later).some((prefix) => file.startsWith(prefix));
    const files = readdirSync(join(here, 'http')).filter((file) => !isLater(file));
    console.log(`left out: ${Object.entries(later).map(([prefix, needs]) => `${prefix}* (${needs})`).join('; ')}`);
    return replay('http-replay.mjs', `"${waypost}" agent -config-file {config}`, files.map((file) => join(here, 'http', file)));
  },
};

const asked = process.argv.slice(2);
let good = true;
for (const [name, run] of Object.entries(suites)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`== ${name}`);
  good = run() && good;
}
process.exit(good ? 0 : 1);
