#!/usr/bin/env node
// Replays the recorded exchanges with the real Consul against bin/waypost:
//   node test/corpus/run.mjs [dns|portable|http ...]
// dns: over the batched system calls; portable: without them; http: the API.
// HTTP scenarios and steps that need endpoints which do not exist yet are left out, see `later` and `missing`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const waypost = join(here, '../../bin/waypost');
const jobs = String(availableParallelism());

/** File name prefix → what nearly all its steps need: such a scenario is not replayed yet. */
const later = {
  'acl-agent-tokens': 'tokens set at run time, node and service identities',
  'acl-crud': 'roles, identities and expiry of tokens',
};

/** Endpoints that do not exist yet. Elsewhere only the steps that ask one are left out, and those that use what such a step captured. */
const missing = /^\/v1\/(acl\/(role|roles|replication|rules))(\/|\?|$)/;

/** Writes the scenario to `to` without the steps that cannot be done; gives their number. */
function withoutMissing(from, to) {
  const scenario = JSON.parse(readFileSync(from, 'utf8'));
  const lost = [];
  const notStarted = new Set();
  const steps = scenario.steps.filter((step) => {
    const text = JSON.stringify(step);
    const path = step.request?.path ?? '';
    const isPossible =
      !missing.test(path) &&
      !notStarted.has(step.await) &&
      !lost.some((name) => text.includes(`{{${name}}}`));
    if (!isPossible) {
      lost.push(...Object.keys(step.capture ?? {}));
      if (step.concurrent) notStarted.add(step.concurrent);
    }
    return isPossible;
  });
  writeFileSync(to, JSON.stringify({ ...scenario, steps }));
  return scenario.steps.length - steps.length;
}

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
    const scenarios = join(work, 'http');
    mkdirSync(scenarios);
    const leftOut = files.map((file) => withoutMissing(join(here, 'http', file), join(scenarios, file)));
    console.log(`left out: ${Object.entries(later).map(([prefix, needs]) => `${prefix}* (${needs})`).join('; ')}`);
    console.log(`and ${leftOut.reduce((sum, count) => sum + count)} steps of other scenarios that ask endpoints which do not exist yet`);
    return replay('http-replay.mjs', `"${waypost}" agent -config-file {config}`, [scenarios]);
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
