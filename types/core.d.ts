/** The two globals that pure files may use besides the language itself. */
declare class TextEncoder {
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(octets?: Uint8Array): string;
}
