/** Values of the parameter `node-meta` for metadata that a node must have; undefined for none. */
export function nodeMetaQuery(
  wanted: Readonly<Record<string, string>>,
): readonly string[] | undefined {
  const values = Object.entries(wanted).map(([name, value]) => `${name}:${value}`);
  return values.length === 0 ? undefined : values;
}
