// The TypeScript SDK, version 1, which speaks 2025-11-25; prints what came of it as one JSON object.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "conformance", version: "1" });
let told = "ok";
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
} catch (error) {
  told = `${error.name}: ${error.message}`;
}
console.log(JSON.stringify({ connect: told }));
process.exit(0);
