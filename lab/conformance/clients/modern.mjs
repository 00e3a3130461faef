// The TypeScript SDK, version 2, in each of its modes; prints what came of it as one JSON object.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const url = new URL(process.argv[2]);
const LATER = { supportedProtocolVersions: ["2027-03-01", "2026-07-28", "2025-11-25"] };
const MODES = {
  pinned: { versionNegotiation: { mode: { pin: "2026-07-28" } } },
  auto: { versionNegotiation: { mode: "auto" } },
  "auto, of a later revision": { ...LATER, versionNegotiation: { mode: "auto" } },
  legacy: {},
};
const told = {};
const said = async (name, what) => {
  try {
    told[name] = String(await what());
  } catch (error) {
    told[name] = `${error.name}: ${error.message}`;
  }
};
for (const [mode, options] of Object.entries(MODES)) {
  const client = new Client({ name: "conformance", version: "1" }, options);
  await said(`${mode}: connect`, async () => {
    await client.connect(new StreamableHTTPClientTransport(url));
    return "ok";
  });
  if (told[`${mode}: connect`] !== "ok") continue;
  await said(`${mode}: offers`, () => Object.keys(client.getServerCapabilities()).sort());
  await said(`${mode}: list`, async () => (await client.listTools()).tools.map((tool) => tool.name));
  await said(`${mode}: call`, async () => {
    const result = await client.callTool({ name: "read", arguments: { id: "ENG-101" } });
    return result.isError ? "tool error" : "ok";
  });
  await said(`${mode}: call beyond the scope`, () =>
    client.callTool({ name: "create", arguments: { title: "x", text: "x" } }),
  );
  await client.close();
}
console.log(JSON.stringify(told));
