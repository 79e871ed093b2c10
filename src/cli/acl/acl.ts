import { absent } from "../absent.ts";
import type { CommandGroup } from "../command.ts";
import { bootstrap } from "./bootstrap.ts";
import { policy } from "./policy.ts";
import { role } from "./role.ts";
import { setAgentToken } from "./set-agent-token.ts";
import { token } from "./token.ts";
import { translateRules } from "./translate-rules.ts";

const noAuthMethods = absent(
  "there are no auth methods",
  "Tokens are made with `acl token create`.",
);

/** `login` and `logout`. */
export const login = noAuthMethods;

/** `acl`. */
export const acl: CommandGroup = {
  kind: "group",
  doc: "Manages tokens, policies and roles.",
  detail: "",
  children: {
    bootstrap,
    token,
    policy,
    role,
    "set-agent-token": setAgentToken,
    "translate-rules": translateRules,
    "auth-method": noAuthMethods,
    "binding-rule": noAuthMethods,
    "templated-policy": absent(
      "there are no templates of policies",
      "`-service-identity` and `-node-identity` give what the templates for these give.",
    ),
  },
};
