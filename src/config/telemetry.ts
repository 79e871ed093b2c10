/** What is checked of the options of metrics. */
import { isIP } from "node:net";
import { isLoopback } from "../address.ts";
import type { SocketAddress } from "../ports.ts";
import type { Config } from "./options.ts";

/** `metrics.address`: where to listen, undefined for nowhere; mistakes and warnings are whole sentences. */
export function readMetricsAddress(
  text: string,
  { warnings, errors }: { warnings: string[]; errors: string[] },
): SocketAddress | undefined {
  if (text === "") return undefined;
  const [, bracketed, plain, digits = ""] =
    /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = Number(digits);
  if (isIP(address) !== (bracketed === undefined ? 4 : 6) || port < 1 || port > 65_535) {
    errors.push(`metrics.address: "${text}" is no address and port such as 127.0.0.1:9153`);
    return undefined;
  }
  if (!isLoopback(address))
    warnings.push(
      `metrics.address: whoever reaches ${text} reads which servers, zones and services there are`,
    );
  return { address, port };
}

/** Rules of `telemetry.prefix_filter` that are none. */
export function warnAboutFilters(config: Config, warnings: string[]): void {
  for (const rule of config["telemetry.prefix_filter"])
    if (!/^[+-]./.test(rule))
      warnings.push(
        `telemetry.prefix_filter: "${rule}" is left out, a rule is "+" or "-" and a prefix`,
      );
}
