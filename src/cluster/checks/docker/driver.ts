/** Docker checks: a program is run inside a container, by the engine's HTTP API. Texts as Consul's. */
import * as http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckDefinition } from "../../definition.ts";
import { drain } from "../../program/driver.ts";
import { PROGRAM_TIMEOUT_MS, timeoutOf, type ProbeResult } from "../check.ts";
import {
  createOutputEnd,
  programOutput,
  statusOfExit,
  timedOutResult,
  type OutputEnd,
} from "../output.ts";
import { critical, runOnce, type Prober } from "../run/driver.ts";
import { createFrameReader } from "./frames.ts";

/** Where the engine listens when DOCKER_HOST does not say. */
const DEFAULT_HOST = "unix:///var/run/docker.sock";
/** An answer of the engine beside the program's output; a longer one is an error. */
const MAX_ANSWER_OCTETS = 65_536;
/** Time between questions whether a program has ended whose output has ended. */
const POLL_MS = 50;

/**
 * Runs checks with `docker_container_id` and `args`, without a shell. `dockerHost` is the value of
 * DOCKER_HOST, `unix://PATH` or `tcp://HOST:PORT`; "" means the usual socket. The engine cannot end a
 * program that was started so: one that outlives its time is not started again until it has ended.
 */
export function createDockerProbe(dockerHost: string): Prober {
  const engine = parseHost(dockerHost === "" ? DEFAULT_HOST : dockerHost);
  /** The programs that were left running. */
  const lasting = new WeakMap<CheckDefinition, string>();
  return (check, { outputMaxOctets }, signal) => {
    if (engine === undefined)
      return Promise.resolve(critical(`unable to parse docker host \`${dockerHost}\``));
    const timeoutMs = timeoutOf(check, PROGRAM_TIMEOUT_MS);
    const output = createOutputEnd(outputMaxOctets);
    const written = () => programOutput(output, outputMaxOctets);
    const timedOut = () => timedOutResult(timeoutMs, written());
    return runOnce({ timeoutMs, timedOut, signal }, (finish) => {
      const abort = new AbortController();
      const run = { check, engine, lasting, output, written, signal: abort.signal };
      void execute(run).then(finish, (error: unknown) =>
        finish(critical(error instanceof Error ? error.message : String(error))),
      );
      return () => abort.abort();
    });
  };
}

type Engine = { options: http.RequestOptions; path: string; name: string };

function parseHost(text: string): Engine | undefined {
  const socketPath = /^unix:\/\/(\/.*)$/.exec(text)?.[1];
  if (socketPath !== undefined)
    return { options: { socketPath }, path: "", name: `unix ${socketPath}` };
  const url = /^tcp:\/\/./.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "" || url.port === "") return undefined;
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const path = url.pathname.replace(/\/$/, "");
  return { options: { hostname, port: url.port }, path, name: `tcp ${url.host}` };
}

type Run = {
  check: CheckDefinition;
  engine: Engine;
  lasting: WeakMap<CheckDefinition, string>;
  output: OutputEnd;
  written(): string;
  signal: AbortSignal;
};

/** Rejects with the text of what failed. */
async function execute(run: Run): Promise<ProbeResult> {
  const { check, lasting } = run;
  const earlier = lasting.get(check);
  if (earlier !== undefined && (await isRunning(run, earlier)))
    return critical(
      `the program of an earlier run still runs in container ${check.dockerContainerId}`,
    );
  const id = await createExec(run);
  lasting.set(check, id);
  await startExec(
    run,
    id,
    createFrameReader((octets) => run.output.add(octets)),
  );
  let state = await readState(run, id);
  while (state.running) {
    await sleep(POLL_MS, undefined, { signal: run.signal });
    state = await readState(run, id);
  }
  lasting.delete(check);
  return { status: statusOfExit(state.exitCode), output: run.written() };
}

/** An engine that cannot be asked, or has forgotten the program, does not hold up the next one. */
async function isRunning(run: Run, id: string): Promise<boolean> {
  try {
    return (await readState(run, id)).running;
  } catch {
    return false;
  }
}

async function createExec(run: Run): Promise<string> {
  const { args, dockerContainerId: container } = run.check;
  const { status, text } = await ask(run, `create exec failed for container ${container}`, {
    method: "POST",
    path: `/containers/${encodeURIComponent(container)}/exec`,
    body: { AttachStdin: false, AttachStdout: true, AttachStderr: true, Tty: false, Cmd: args },
  });
  if (status === 404) throw new Error(`create exec failed for unknown container ${container}`);
  if (status === 409)
    throw new Error(`create exec failed since container ${container} is paused or stopped`);
  if (status !== 201)
    throw new Error(
      `create exec failed for container ${container} with status ${status}: ${text.trim()}`,
    );
  const { Id } = parseObject(text);
  if (typeof Id === "string" && Id !== "") return Id;
  throw new Error(`create exec response for container ${container} cannot be parsed`);
}

/** Resolves when the output has ended. */
async function startExec(run: Run, id: string, output: (chunk: Uint8Array) => void): Promise<void> {
  const container = run.check.dockerContainerId;
  const { status, text } = await ask(run, `start exec failed for container ${container}`, {
    method: "POST",
    path: `/exec/${encodeURIComponent(id)}/start`,
    body: { Detach: false, Tty: false },
    output,
  });
  if (status === 200) return;
  if (status === 404)
    throw new Error(`start exec failed for container ${container}: invalid exec id ${id}`);
  if (status === 409)
    throw new Error(`start exec failed since container ${container} is paused or stopped`);
  throw new Error(
    `start exec failed for container ${container} with status ${status}: body: ${text.trim()}`,
  );
}

async function readState(
  run: Run,
  id: string,
): Promise<{ running: boolean; exitCode: number | null }> {
  const container = run.check.dockerContainerId;
  const path = `/exec/${encodeURIComponent(id)}/json`;
  const asked = { method: "GET", path };
  const { status, text } = await ask(run, `inspect exec failed for container ${container}`, asked);
  if (status === 200) {
    const { Running, ExitCode } = parseObject(text);
    // null until the engine has seen the end, which may be after the end of the output
    if (typeof ExitCode === "number") return { running: Running === true, exitCode: ExitCode };
    if (ExitCode === null || Running === true) return { running: true, exitCode: null };
    throw new Error(`inspect exec response for container ${container} cannot be parsed`);
  }
  if (status === 404)
    throw new Error(`inspect exec failed for container ${container}: invalid exec id ${id}`);
  throw new Error(
    `inspect exec failed for container ${container} with status ${status}: ${text.trim()}`,
  );
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

type Question = {
  method: string;
  path: string;
  body?: unknown;
  /** Gets the body of an answer of status 200, in place of `text`. */
  output?: (chunk: Uint8Array) => void;
};

/** One request on a connection of its own. Rejects with `failure` and the reason. */
function ask(
  { engine, signal }: Run,
  failure: string,
  { method, path, body, output }: Question,
): Promise<{ status: number; text: string }> {
  const sent = body === undefined ? "" : JSON.stringify(body);
  const headers: Record<string, string> = { Host: "docker" };
  if (sent !== "") {
    headers["Content-Type"] = "application/json";
    headers["Content-Length"] = String(Buffer.byteLength(sent));
  }
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(new Error(`${failure}: ${reasonOf(error, engine)}`));
    const request = http.request({
      ...engine.options,
      method,
      path: engine.path + path,
      headers,
      agent: false,
      signal,
    });
    request.on("error", fail);
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const isOutput = output !== undefined && status === 200;
      const answer = createOutputEnd(MAX_ANSWER_OCTETS);
      const finish = () => {
        if (answer.totalOctets > MAX_ANSWER_OCTETS) fail(new Error("answer too long"));
        else resolve({ status, text: answer.text() });
      };
      // Engines reset the connection of an output when the program has ended; its state tells more.
      if (isOutput) return void drain(response, output).then(finish);
      response.on("data", (chunk: Buffer) => answer.add(chunk));
      response.on("end", finish);
      response.on("error", fail);
    });
    request.end(sent);
  });
}

/** Go's words for what Node and Bun report by code. */
function reasonOf(error: Error, { name }: Engine): string {
  const code = "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return `dial ${name}: connect: no such file or directory`;
  if (code === "EACCES") return `dial ${name}: connect: permission denied`;
  if (code === "ECONNREFUSED") return `dial ${name}: connect: connection refused`;
  return error.message;
}
