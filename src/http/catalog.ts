/** Reads of /v1/catalog. */
import { nodeFields, nodeServiceFields, serviceNodeFields } from "./fields.ts";
import { route, type Call, type Reply, type Route } from "./call.ts";
import { deregister, register } from "./catalog-write.ts";
import { answerConnect } from "./connect.ts";
import { answerRead } from "./read.ts";
import { beginRead, filterOf, nodeMetaFilter, selectInstances, sortNear } from "./select.ts";
import { toNode, toNodeService, toServiceNode } from "./shapes.ts";

/** /v1/catalog without `datacenters`, which is with the status routes. */
export function catalogRoutes(): readonly Route[] {
  return [
    route(["PUT"], "/v1/catalog/register", register),
    route(["PUT"], "/v1/catalog/deregister", deregister),
    route(["GET"], "/v1/catalog/nodes", answerNodes),
    route(["GET"], "/v1/catalog/services", answerServices),
    route(["GET"], "/v1/catalog/service/", answerService),
    route(["GET"], "/v1/catalog/connect/", answerConnect),
    route(["GET"], "/v1/catalog/node/", answerNode),
    route(["GET"], "/v1/catalog/node-services/", answerNodeServices),
  ];
}

function answerNodes(call: Call): Reply {
  const options = beginRead(call);
  const passes = filterOf(call, nodeFields);
  const isWanted = nodeMetaFilter(call);
  const { reader, info } = call.deps;
  return answerRead(call, options, {
    topics: ["nodes"],
    showsConsistency: true,
    look(rights) {
      const nodes: ReturnType<typeof toNode>[] = [];
      for (const node of reader.nodes()) {
        if ((isWanted && !isWanted(node)) || !rights.nodeRead(node.node)) continue;
        const shown = toNode(node, info.datacenter);
        if (passes(shown)) nodes.push(shown);
      }
      return { value: sortNear(call, nodes, ({ Node }) => Node) };
    },
  });
}

function answerServices(call: Call): Reply {
  const options = beginRead(call);
  const isWanted = nodeMetaFilter(call);
  const { reader } = call.deps;
  return answerRead(call, options, {
    topics: isWanted === undefined ? ["services"] : ["services", "nodes"],
    showsConsistency: true,
    cacheable: true,
    look(rights) {
      const names = isWanted === undefined ? reader.serviceNames() : serviceNamesOn(call, isWanted);
      // fromEntries, so that a service named "__proto__" is a member like any other
      return {
        value: Object.fromEntries([...names].filter(([name]) => rights.serviceRead(name))),
      };
    },
  });
}

/** Names and tags of the services on the nodes that `isWanted` picks. */
function serviceNamesOn(
  call: Call,
  isWanted: NonNullable<ReturnType<typeof nodeMetaFilter>>,
): Map<string, readonly string[]> {
  const { reader } = call.deps;
  const names = new Map<string, Set<string>>();
  for (const node of reader.nodes()) {
    if (!isWanted(node)) continue;
    for (const { service, tags } of reader.servicesOfNode(node.node)) {
      const known = names.get(service) ?? new Set();
      for (const tag of tags) known.add(tag);
      names.set(service, known);
    }
  }
  return new Map([...names].map(([name, tags]) => [name, [...tags]]));
}

function answerService(call: Call): Reply {
  const options = beginRead(call, "service name");
  const passes = filterOf(call, serviceNodeFields);
  const { datacenter } = call.deps.info;
  return answerRead(call, options, {
    topics: [`service:${call.argument.toLowerCase()}`],
    showsConsistency: true,
    cacheable: true,
    look: (rights) => ({
      value: selectInstances(call, call.argument, rights)
        .map(({ node, service }) => toServiceNode(node, service, datacenter))
        .filter(passes),
    }),
  });
}

/** `Services` is null for a node that has none at all (not: none that passes the filter). */
type NodeWithServices = { Node: object; Services: ReturnType<typeof toNodeService>[] | null };

function answerNode(call: Call): Reply {
  return answerNodeRead(call, (found) =>
    found === undefined
      ? null
      : {
          Node: found.Node,
          Services: Object.fromEntries(
            (found.Services ?? []).map((service) => [service.ID, service]),
          ),
        },
  );
}

function answerNodeServices(call: Call): Reply {
  return answerNodeRead(call, (found) => found ?? { Node: null, Services: null });
}

/** `show` gets undefined for a node that does not exist or that the caller may not read. */
function answerNodeRead(call: Call, show: (found: NodeWithServices | undefined) => unknown): Reply {
  const options = beginRead(call, "node name");
  const passes = filterOf(call, nodeServiceFields);
  const { reader, info } = call.deps;
  return answerRead(call, options, {
    topics: [`node:${call.argument.toLowerCase()}`],
    showsConsistency: true,
    look(rights) {
      const node = reader.node(call.argument);
      if (node === undefined || !rights.nodeRead(node.node)) return { value: show(undefined) };
      const held = reader.servicesOfNode(node.node);
      const services = held
        .filter(({ service }) => rights.serviceRead(service))
        .map(toNodeService)
        .filter(passes);
      return {
        value: show({
          Node: toNode(node, info.datacenter),
          Services: held.length === 0 ? null : services,
        }),
      };
    },
  });
}
