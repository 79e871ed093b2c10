// TLS and HTTPS upstreams on Node; test/platform/streams.test.ts plays the same on Bun.
import t from "tap";
import { noCertificates as skip } from "../program/certificates.ts";
import { createStreamClient } from "./stream-client.ts";
import { streamScenes } from "./stream-scenes.ts";

t.test("Node", { skip }, (t) => streamScenes(t, async (ca) => createStreamClient(ca)));
