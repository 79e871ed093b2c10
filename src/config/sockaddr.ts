import { fail, ok, type Result } from "../base.ts";
import { isForwardable, isSpecial, type InterfaceAddress } from "./interface-address.ts";
import { attribute, select, sortBy, sortChecked, unique } from "./interface-list.ts";
import { nearest } from "./nearest.ts";

type List = readonly InterfaceAddress[];
type Argument = string | number;
type Value = List | string | number;
type Source = (list: List, args: Argument[]) => Value;
type Step = (list: List, args: Argument[]) => Result<Value, string>;

/**
 * Expands the address templates that Consul takes from go-sockaddr, such as
 * `{{ GetInterfaceIP "eth0" }}` or `{{ GetPrivateInterfaces | limit 1 | join "address" " " }}`.
 * Text outside the braces stays. Every template must give something. The error says which part is
 * not understood or found nothing. Of the template language only pipelines are known: no
 * variables, `with`, `range` or arithmetic.
 */
export function expandTemplate(text: string, machine: List): Result<string, string> {
  let expanded = "";
  let rest = text;
  for (let open = rest.indexOf("{{"); open >= 0; open = rest.indexOf("{{")) {
    const close = rest.indexOf("}}", open);
    if (close < 0) return fail(`template without }}: ${text}`);
    const inner = rest.slice(open + 2, close).replace(/^-|-$/g, "");
    const value = runPipeline(inner, machine);
    if (!value.ok) return fail(`template {{${inner}}}: ${value.error}`);
    expanded += rest.slice(0, open) + value.value;
    rest = rest.slice(close + 2);
  }
  return rest.includes("}}") ? fail(`template without {{: ${text}`) : ok(expanded + rest);
}

function runPipeline(inner: string, machine: List): Result<string, string> {
  const commands = splitPipeline(inner);
  if (!commands.ok) return commands;
  let value: Value | undefined;
  for (const [name, ...args] of commands.value) {
    const next = runCommand(String(name), args, machine, value);
    if (!next.ok) return next;
    value = next.value;
  }
  if (typeof value !== "string")
    return fail('gives a list of interfaces; end it with attr "address" or join "address" " "');
  return value === "" ? fail("finds no address on this machine") : ok(value);
}

function runCommand(
  name: string,
  args: Argument[],
  machine: List,
  value: Value | undefined,
): Result<Value, string> {
  const source = Object.hasOwn(sources, name) ? sources[name] : undefined;
  if (source !== undefined) {
    if (value !== undefined) return fail(`${name} must be the first part`);
    if (args.length !== source.args) return fail(`${name} takes ${source.args} argument(s)`);
    return ok(source.run(machine, args));
  }
  const step = Object.hasOwn(steps, name) ? steps[name] : undefined;
  if (step === undefined) {
    const near = nearest(name, [...Object.keys(sources), ...Object.keys(steps)]);
    return fail(`unknown function ${name}${near === undefined ? "" : ` (did you mean ${near}?)`}`);
  }
  if (value === undefined || typeof value !== "object")
    return fail(`${name} needs a list before |`);
  if (args.length !== step.args) return fail(`${name} takes ${step.args} argument(s)`);
  return step.run(value, args);
}

/** `A "x" 1 | B` → [["A", "x", 1], ["B"]]. */
function splitPipeline(inner: string): Result<[string, ...Argument[]][], string> {
  const token = /\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|(-?\d+)(?![\w.])|([A-Za-z]\w*)|(\|))\s*/y;
  const commands: [string, ...Argument[]][] = [];
  let current: Argument[] = [];
  let started = false;
  const finish = () => {
    if (!started) return false;
    commands.push(current as [string, ...Argument[]]);
    current = [];
    started = false;
    return true;
  };
  while (token.lastIndex < inner.length) {
    const at = token.lastIndex;
    const match = token.exec(inner);
    if (match === null)
      return inner.slice(at).trim() === ""
        ? fail("is empty")
        : fail(`not understood: ${inner.slice(at).trim()}`);
    const [, quoted, raw, digits, word, pipe] = match;
    if (pipe !== undefined) {
      if (!finish()) return fail("a part before | is missing");
    } else if (word !== undefined) {
      if (started) return fail(`not understood: ${word}`);
      started = true;
      current.push(word);
    } else {
      const argument =
        digits !== undefined ? Number(digits) : (raw ?? quoted!.replace(/\\(.)/g, "$1"));
      if (!started) return fail(`expected a function, got ${JSON.stringify(argument)}`);
      current.push(argument);
    }
  }
  return finish()
    ? ok(commands)
    : fail(commands.length === 0 ? "is empty" : "a part after | is missing");
}

const privateOnes = (list: List) =>
  sortBy(
    list.filter((a) => isForwardable(a.address) && isSpecial(a.address)),
    "default,type,size",
  );
const publicOnes = (list: List) =>
  sortBy(
    list.filter((a) => isForwardable(a.address) && !isSpecial(a.address)),
    "default,type,size",
  );
const named = (list: List, name: Argument | undefined) =>
  sortBy(
    list.filter((a) => a.name === name && isForwardable(a.address)),
    "default,type,size",
  );
const first = (list: List) => list[0]?.address ?? "";
const all = (list: List) => list.map((a) => a.address).join(" ");

const sources: Readonly<Record<string, { args: number; run: Source }>> = {
  GetAllInterfaces: { args: 0, run: (list) => list },
  GetDefaultInterfaces: { args: 0, run: (list) => list.filter((a) => a.isDefault) },
  GetPrivateInterfaces: { args: 0, run: privateOnes },
  GetPublicInterfaces: { args: 0, run: publicOnes },
  GetPrivateIP: { args: 0, run: (list) => first(privateOnes(list)) },
  GetPrivateIPs: { args: 0, run: (list) => all(privateOnes(list)) },
  GetPublicIP: { args: 0, run: (list) => first(publicOnes(list)) },
  GetPublicIPs: { args: 0, run: (list) => all(publicOnes(list)) },
  GetInterfaceIP: { args: 1, run: (list, [name]) => first(named(list, name)) },
  GetInterfaceIPs: { args: 1, run: (list, [name]) => all(named(list, name)) },
};

const steps: Readonly<Record<string, { args: number; run: Step }>> = {
  include: {
    args: 2,
    run: (list, [what, value]) => select(list, { what: String(what), value: String(value) }, true),
  },
  exclude: {
    args: 2,
    run: (list, [what, value]) => select(list, { what: String(what), value: String(value) }, false),
  },
  sort: { args: 1, run: (list, [order]) => sortChecked(list, String(order)) },
  unique: { args: 1, run: (list, [what]) => unique(list, String(what)) },
  limit: {
    args: 1,
    run: (list, [count]) => {
      const n = Number(count);
      return n >= 0 ? ok(list.slice(0, n)) : fail("limit takes a number from 0");
    },
  },
  offset: {
    args: 1,
    run: (list, [count]) =>
      Number.isInteger(Number(count))
        ? ok(list.slice(Number(count)))
        : fail("offset takes a number"),
  },
  attr: {
    args: 1,
    run: (list, [what]) => attribute(list[0], String(what)),
  },
  join: {
    args: 2,
    run: (list, [what, separator]) => {
      const parts: string[] = [];
      for (const item of list) {
        const part = attribute(item, String(what));
        if (!part.ok) return part;
        parts.push(part.value);
      }
      return ok(parts.join(String(separator)));
    },
  },
};
