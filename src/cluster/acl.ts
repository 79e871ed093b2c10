/** What a caller may do; Consul 1.10 rule language. Each method answers for one exact name. */
export type Authorizer = {
  nodeRead(node: string): boolean;
  nodeWrite(node: string): boolean;
  serviceRead(service: string): boolean;
  serviceWrite(service: string): boolean;
  queryRead(name: string): boolean;
  queryWrite(name: string): boolean;
  sessionRead(node: string): boolean;
  sessionWrite(node: string): boolean;
  agentRead(node: string): boolean;
  agentWrite(node: string): boolean;
  operatorRead(): boolean;
  operatorWrite(): boolean;
  aclRead(): boolean;
  aclWrite(): boolean;
};

export type Acl = {
  readonly enabled: boolean;
  readonly defaultPolicy: "allow" | "deny";
  /** undefined or "": the default token if configured, else the anonymous token. "ACL not found" for an unknown secret. */
  authorizer(secretId: string | undefined): Authorizer | "ACL not found";
  /** For DNS: acl.tokens.dns, else acl.tokens.default, else anonymous. */
  dnsAuthorizer(): Authorizer;
};
