// Prism for several descriptions in one process: its program alone takes most of its time to start.
// Arguments: where the program lies, then the descriptions. Prints their ports as one line of JSON; ends with its input.
const { createRequire } = require("node:module");
const [program, ...files] = process.argv.slice(2);
const from = createRequire(require("node:fs").realpathSync(program));
const { createLogger } = from("@stoplight/prism-core");
const { getHttpOperationsFromSpec } = from("@stoplight/prism-http");
const { createServer } = from("@stoplight/prism-http-server");

const config = {
  isProxy: false,
  validateRequest: true,
  validateResponse: true,
  checkSecurity: true,
  errors: false,
  upstreamProxy: undefined,
  mock: { dynamic: false, ignoreExamples: false },
};

async function serve(file) {
  const operations = await getHttpOperationsFromSpec(file);
  const logger = createLogger("prism", { level: "silent" });
  const address = await createServer(operations, { config, cors: false, components: { logger } }).listen(0, "127.0.0.1");
  return Number(new URL(address).port);
}

(async () => {
  const ports = [];
  for (const file of files) ports.push(await serve(file));
  console.log(JSON.stringify(ports));
  process.stdin.resume().on("end", () => process.exit(0));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
