/** Version of waypost; package.json has the same. */
export const version = "0.1.0";

/** The Consul release whose interfaces are followed; clients that ask for a version are told this. */
export const consulVersion = "1.10.12";
