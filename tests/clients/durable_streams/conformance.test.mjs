// The suite of the protocol's authors: vitest run conformance.test.mjs -t "names", with STREAMS_URL in the environment.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({ baseUrl: process.env.STREAMS_URL });
