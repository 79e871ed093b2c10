/** /v1/health: checks by node, service and state, and instances with their health. */
import type { Authorizer } from "../cluster/acl.ts";
import type { CheckRecord } from "../cluster/model.ts";
import { parseBoolean } from "../boolean.ts";
import { healthCheckFields, healthServiceFields } from "./fields.ts";
import { HttpError, route, type Call, type Reply, type Route } from "./call.ts";
import { answerConnect } from "./connect.ts";
import { createInstanceTexts, type Instance } from "./instance-text.ts";
import { JsonText } from "./json.ts";
import { answerRead } from "./read.ts";
import { beginRead, filterOf, mayReadCheck, selectChecks, selectInstances } from "./select.ts";
import { toHealthCheck, toNode, toNodeService } from "./shapes.ts";

/** GET /v1/health/{node,checks,state,service,connect}/<argument>. */
export function healthRoutes(): readonly Route[] {
  return [
    route(["GET"], "/v1/health/node/", answerNode),
    route(["GET"], "/v1/health/checks/", answerChecks),
    route(["GET"], "/v1/health/state/", answerState),
    serviceRoute(),
    route(["GET"], "/v1/health/connect/", answerConnect),
  ];
}

function answerNode(call: Call): Reply {
  const { reader } = call.deps;
  return answerChecksOf(call, "node name", `node:${call.argument.toLowerCase()}`, (rights) =>
    reader.checksOfNode(call.argument).filter((check) => mayReadCheck(rights, check)),
  );
}

function answerChecks(call: Call): Reply {
  const { reader } = call.deps;
  return answerChecksOf(call, "service name", `service:${call.argument.toLowerCase()}`, (rights) =>
    selectChecks(call, reader.checksOfService(call.argument), rights),
  );
}

function answerState(call: Call): Reply {
  const { reader } = call.deps;
  return answerChecksOf(call, "check state", "checks", (rights) =>
    selectChecks(call, reader.checksInState(call.argument), rights),
  );
}

/** `what` names the missing argument. */
function answerChecksOf(
  call: Call,
  what: string,
  topic: string,
  select: (rights: Authorizer) => readonly CheckRecord[],
): Reply {
  const options = beginRead(call, what);
  const passes = filterOf(call, healthCheckFields);
  return answerRead(call, options, {
    topics: [topic],
    showsConsistency: true,
    look: (rights) => ({ value: select(rights).map(toHealthCheck).filter(passes) }),
  });
}

/** `?passing`; throws 400 for a value that is no boolean. */
function onlyPassing(call: Call): boolean {
  if (!call.has("passing")) return false;
  const value = call.query("passing");
  const passing = value === "" ? true : parseBoolean(value);
  if (passing === undefined) throw new HttpError(400, "Invalid value for ?passing");
  return passing;
}

function serviceRoute(): Route {
  let textOf: ((instances: readonly Instance[]) => string) | undefined;
  return route(["GET"], "/v1/health/service/", (call) => {
    const { datacenter } = call.deps.info; // the same for the life of the agent
    textOf ??= createInstanceTexts((instance) => toHealthEntry(instance, datacenter));
    return answerService(call, textOf);
  });
}

function toHealthEntry({ node, service, checks }: Instance, datacenter: string) {
  return {
    Node: toNode(node, datacenter),
    Service: toNodeService(service),
    Checks: checks.map(toHealthCheck),
  };
}

function answerService(call: Call, textOf: (instances: readonly Instance[]) => string): Reply {
  const options = beginRead(call, "service name");
  const passes = filterOf(call, healthServiceFields);
  const isFiltered = call.query("filter") !== "";
  const passing = onlyPassing(call);
  const { reader, info } = call.deps;
  return answerRead(call, options, {
    topics: [`service:${call.argument.toLowerCase()}`],
    showsConsistency: true,
    cacheable: true,
    streamed: true,
    look(rights) {
      const instances: Instance[] = [];
      for (const { node, service } of selectInstances(call, call.argument, rights)) {
        const checks = reader.checksOfInstance(node.node, service.id);
        if (passing && checks.some(({ status }) => status !== "passing")) continue;
        const instance = { node, service, checks };
        if (isFiltered && !passes(toHealthEntry(instance, info.datacenter))) continue;
        instances.push(instance);
      }
      return { value: new JsonText(textOf(instances)) };
    },
  });
}
