/** Is this the unspecified address, in the spellings that Consul refuses as a service's address? */
export function isAnyAddress(text: string): boolean {
  return text === "0.0.0.0" || text === "::" || text === "[::]";
}
