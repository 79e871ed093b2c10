/** Services that configuration files declare, in the form of the agent's API. */
import { configKey, parseConfigService } from "../../cluster/definition.ts";
import { configServiceShape } from "../../cluster/definition-shapes.ts";
import { decodeShape, type Decoded } from "../../cluster/decode.ts";
import { readConfigPath } from "../../config/files.ts";
import { readLayer, type Definition } from "../../config/read.ts";
import { formatDuration } from "../../duration.ts";
import { understood } from "../answer.ts";
import { CommandFailure } from "../command.ts";

type Service = Decoded<typeof configServiceShape>;
type Check = NonNullable<Service["Check"]>;

/** Body of PUT /v1/agent/service/register. What is zero is left out, so that older agents know all of it. */
export type ServiceBody = Partial<Omit<Service, "Check" | "Checks">> & {
  Name: string;
  Checks?: Record<string, unknown>[];
};

/** Services of these files and directories, in order. Ends the command with every mistake. */
export function servicesOfFiles(paths: readonly string[]): ServiceBody[] {
  const errors: string[] = [];
  const services: ServiceBody[] = [];
  for (const path of paths) {
    const files = readConfigPath(path, undefined);
    if (!files.ok) errors.push(...files.error);
    else
      for (const { file, tree } of files.value) {
        const layer = readLayer(tree, file);
        errors.push(...layer.errors);
        services.push(...layer.services.flatMap((each) => toBodies(each, errors)));
      }
  }
  if (errors.length > 0)
    throw new CommandFailure(errors.map((each) => `Error: ${each}`).join("\n"));
  return services;
}

/** One body, or none and why. */
function toBodies({ value, file, where }: Definition, errors: string[]): ServiceBody[] {
  const parsed = parseConfigService(value, where);
  if (!parsed.ok) {
    errors.push(`${file}: ${parsed.error}`);
    return [];
  }
  const fold = { fold: configKey, unknown: undefined };
  const { Check, Checks, ...service } = understood(decodeShape(configServiceShape, value, fold));
  const checks = [...(Check === null ? [] : [Check]), ...(Checks ?? [])].map(toCheckBody);
  const kept = checks.filter((check) => Object.keys(check).length > 0);
  return [
    {
      ...given(service),
      Name: service.Name,
      ...(kept.length === 0 ? {} : { Checks: kept }),
    },
  ];
}

const checkMembers: Readonly<Record<string, unknown>> =
  configServiceShape.struct.Checks.list.struct;

/** Durations are numbers of milliseconds when they have been read, and texts in the API. */
function toCheckBody(check: Check): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(given(check)).map(([name, value]) => [
      name,
      checkMembers[name] === "duration" ? formatDuration(Number(value)) : value,
    ]),
  );
}

/** Without zero values; a `false` that was given on purpose is one of a member that may be null. */
function given<T extends object>(members: T): Partial<T> {
  const kept = Object.entries(members).filter(
    ([name, value]) =>
      value !== null && value !== "" && value !== 0 && (value !== false || name === "H2PingUseTLS"),
  );
  return Object.fromEntries(kept) as Partial<T>; // some of its own members
}
