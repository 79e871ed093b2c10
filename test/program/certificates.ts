/** Certificates for tests, made by the openssl program: an authority, what it signed, and a stranger. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasPeer } from "../peers/peer.ts";

/** Why a test that needs certificates is left out; false where openssl is installed. */
export const noCertificates: string | false = !hasPeer("openssl") && "openssl is not installed";

/** Runs openssl with words that hold no blanks. */
const openssl = (directory: string, line: string) =>
  execFileSync("openssl", line.split(" "), { cwd: directory, stdio: "ignore" });

const NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/**
 * `ca.pem`, `stranger.pem` (an authority of its own) and pairs of .pem and .key that `ca` signed; the one
 * named "expired" was good until yesterday.
 */
export function makeCertificates(directory: string, names: readonly string[]): void {
  for (const name of ["ca", "stranger"])
    openssl(
      directory,
      `req -x509 ${NEW_KEY} -keyout ${name}.key -out ${name}.pem -days 30 -subj /CN=${name}`,
    );
  writeFileSync(
    join(directory, "san"),
    "subjectAltName=DNS:localhost,DNS:server.dc1.consul,IP:127.0.0.1",
  );
  for (const name of names) {
    openssl(directory, `req ${NEW_KEY} -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`);
    openssl(
      directory,
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days ${name === "expired" ? -1 : 30} -extfile san -out ${name}.pem`,
    );
  }
}
