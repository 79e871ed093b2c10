// `acl token read -expanded`, as Consul's command line prints it since 1.12.
import t from "tap";
import { startProgram } from "../program.ts";
import { runAcl } from "./run-acl.ts";

const root = "0a1b2c3d-1111-4222-8333-444455556666";
const accessor = "11111111-2222-4333-8444-555555555555";
const secret = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";

t.test("a token with all that it grants", async (t) => {
  const { httpPort } = await startProgram(t, {
    acl: { enabled: true, default_policy: "deny", tokens: { initial_management: root } },
  });
  const acl = (line: string | string[]) => runAcl(httpPort, root, line);
  const made = async (...words: string[]): Promise<string> => {
    const { out } = await acl([...words, "-format=json"]);
    return (JSON.parse(out) as { ID: string }).ID;
  };
  const rules = 'key_prefix "" {\n  policy = "read"\n}';
  const named = ["-name", "readers", "-description", "May read", "-rules", rules];
  const policyId = await made("policy", "create", ...named);
  const roleId = await made("role", "create", "-name", "web", "-policy-name", "readers");
  await acl(
    `token create -accessor ${accessor} -secret ${secret} -local -description app -expires-ttl 2h -policy-name readers -role-name web -service-identity db -node-identity n1:dc1`,
  );
  const expanded = `AccessorID:       ${accessor}
SecretID:         ${secret}
Description:      app
Local:            true
Create Time:      TIME
Expiration Time:  TIME
Policies:
	Policy Name: readers
		ID: ${policyId}
		Description: May read
		Rules:
			key_prefix "" {
			  policy = "read"
			}

Service Identities:
	Name: db (Datacenters: all)
		Description: synthetic policy for service identity "db"
		Rules:
			service "db" {
				policy = "write"
			}
			service "db-sidecar-proxy" {
				policy = "write"
			}
			service_prefix "" {
				policy = "read"
			}
			node_prefix "" {
				policy = "read"
			}

Node Identities:
	Name: n1 (Datacenter: dc1)
		Description: synthetic policy for node identity "n1"
		Rules:
			node "n1" {
				policy = "write"
			}
			service_prefix "" {
				policy = "read"
			}

Roles:
	Role Name: web
		ID: ${roleId}
		Description: 
		Policies:
			Policy Name: readers
				ID: ${policyId}
				Description: May read
				Rules:
					key_prefix "" {
					  policy = "read"
					}

=== End of Authorizer Layer 0: Token ===
=== Start of Authorizer Layer 2: Agent Configuration Defaults (Inherited) ===
Description: Defined at request-time by the agent that resolves the ACL token; other agents may have different configuration defaults
Resolved By Agent: "n1"

Default Policy: deny
	Description: Backstop rule used if no preceding layer has a matching rule (refer to default_policy option in agent configuration)

Down Policy: extend-cache
	Description: Defines what to do if this Token's information cannot be read from the primary_datacenter (refer to down_policy option in agent configuration)


`;
  t.same(await acl("token read -id 1111 -expanded"), { code: 0, out: expanded, err: "" });
  const whole = (await acl("token read -id 1111 -expanded -format json")).out;
  t.match(JSON.parse(whole), {
    ExpandedPolicies: [{ Name: "readers" }, { Name: /^synthetic-policy-/ }, { Hash: String }],
    ExpandedRoles: [{ ID: roleId }],
    NamespaceDefaultPolicyIDs: null,
    ResolvedByAgent: "n1",
    AccessorID: accessor,
  });
  const both = await acl("token read -self -expanded");
  t.same({ code: both.code, out: both.out }, { code: 1, out: "" });
  t.match(both.err, /^Cannot use both -expanded and -self\. /);
});
