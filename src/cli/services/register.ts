import { keyValues } from "../arguments.ts";
import { quoted } from "../answer.ts";
import { attempt, CommandFailure, httpCommand } from "../command.ts";
import { flag, type FlagValues } from "../flags.ts";
import { servicesOfFiles, type ServiceBody } from "./files.ts";

const flags = {
  id: flag.text("Id of the service; the name if it is not given."),
  name: flag.text("Name of the service."),
  address: flag.text("Address of the service; that of the node if it is not given."),
  port: flag.integer(0, "Port of the service."),
  socket: flag.text("Path of the service's unix socket."),
  meta: flag.texts("Metadata `name=value`; may be repeated."),
  tag: flag.texts("Tag; may be repeated."),
  "tagged-address": flag.texts("Address by tag, `tag=HOST:PORT`; may be repeated."),
  kind: flag.text("Kind of the service."),
};

/** `services register`: from configuration files, or from flags. */
export const register = httpCommand({
  doc: "Registers services with the agent.",
  usage: "[options] [FILE...]",
  detail: `Files are configuration files in JSON or HCL; flags besides fill in what they leave open:

    waypost services register web.hcl
    waypost services register -name=web -port=80 -tag=v1`,
  flags,
  async run({ flags, args, http, world }) {
    const fromFlags = serviceOfFlags(flags);
    if (args.length === 0 && flags.name === "")
      throw new CommandFailure("Service registration requires at least one argument or flags.");
    if (args.length > 0 && flags.name !== "")
      throw new CommandFailure("Service registration requires arguments or -id, not both.");
    const services =
      args.length === 0
        ? [fromFlags]
        : servicesOfFiles(args).map((service) => filledIn(service, fromFlags));
    if (services.length === 0) await world.err("warning: the files hold no service\n");
    for (const service of services) {
      await attempt(
        `Error registering service ${quoted(service.Name)}`,
        http.request("PUT", "/v1/agent/service/register", { body: service }),
      );
      await world.out(`Registered service: ${service.Name}\n`);
    }
    return 0;
  },
});

function serviceOfFlags(given: FlagValues<typeof flags>): ServiceBody {
  const meta = keyValues("meta", given.meta);
  const tagged = keyValues("tagged-address", given["tagged-address"]);
  const addresses = Object.entries(tagged).map(([tag, text]) => [tag, parseAddress(text)]);
  return {
    Name: given.name,
    ...(given.kind === "" ? {} : { Kind: given.kind }),
    ...(given.id === "" ? {} : { ID: given.id }),
    ...(given.address === "" ? {} : { Address: given.address }),
    ...(given.port === 0 ? {} : { Port: given.port }),
    ...(given.socket === "" ? {} : { SocketPath: given.socket }),
    ...(given.tag.length === 0 ? {} : { Tags: [...given.tag] }),
    ...(given.meta.length === 0 ? {} : { Meta: meta }),
    ...(addresses.length === 0 ? {} : { TaggedAddresses: Object.fromEntries(addresses) }),
  };
}

/** What a file says stands; tags and metadata of flags are added. */
function filledIn(service: ServiceBody, flags: ServiceBody): ServiceBody {
  const both = { ...flags, ...service };
  const tags = [...(service.Tags ?? []), ...(flags.Tags ?? [])];
  const meta = { ...service.Meta, ...flags.Meta };
  const addresses = { ...service.TaggedAddresses, ...flags.TaggedAddresses };
  return {
    ...both,
    ...(tags.length === 0 ? {} : { Tags: tags }),
    ...(Object.keys(meta).length === 0 ? {} : { Meta: meta }),
    ...(Object.keys(addresses).length === 0 ? {} : { TaggedAddresses: addresses }),
  };
}

/** HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. */
function parseAddress(text: string): { Address: string; Port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
  if (match === null)
    throw new CommandFailure(
      `Invalid Tagged Address: address ${text}: expected HOST, HOST:PORT or [IPv6]:PORT`,
    );
  const [, bracketed, plain = "", port = "0"] = match;
  return { Address: bracketed ?? plain, Port: Number(port) };
}
