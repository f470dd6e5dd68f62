// A Bluesky of our own: a real PDS and PLC (npm: @atproto/dev-env), and what Jetstream makes of the PDS's firehose.
// Jetstream itself is a program in Go that no registry here has. Its work is done by the parts that Bluesky ships for
// JavaScript: @atproto/sync reads the real `com.atproto.sync.subscribeRepos`, checks signatures and proofs and takes the
// records out of their CAR files; what comes out is written here in Jetstream's frames, of both versions.
// Argument: where the program of @atproto/dev-env lies. Prints the addresses as one line of JSON; ends with its input.
const { createServer } = require("node:http");
const { createRequire } = require("node:module");
const from = createRequire(require("node:fs").realpathSync(process.argv[2]));
const { TestNetworkNoAppView } = from("./index.js");
const { Firehose } = from("@atproto/sync");
const { IdResolver } = from("@atproto/identity");
const { lexToJson } = from("@atproto/lexicon");
const { WebSocketServer } = from("ws");

let last = 0; // times are unique and rise, as Jetstream's do
const stamp = () => (last = Math.max(Date.now() * 1000, last + 1));

function frame(event) {
  const base = { did: event.did, time_us: stamp() };
  if (event.event === "account") {
    const { did, seq, time, active, status } = event;
    return { ...base, kind: "account", account: { active, did, seq, time, ...(status ? { status } : {}) } };
  }
  if (event.event === "identity") {
    const { did, seq, time, handle } = event;
    return { ...base, kind: "identity", identity: { did, handle, seq, time } };
  }
  if (event.event === "sync") return null;
  const { rev, event: operation, collection, rkey } = event;
  const written = operation === "delete" ? {} : { record: lexToJson(event.record), cid: event.cid.toString() };
  return { ...base, kind: "commit", commit: { rev, operation, collection, rkey, ...written } };
}

// The same frame as version 2 of Jetstream sends it.
function second({ did, time_us, kind, ...said }) {
  const time = new Date(time_us / 1000).toISOString().replace("Z", `${String(time_us % 1000).padStart(3, "0")}Z`);
  const payload = { $type: `network.bsky.jetstream.subscribeEvents#${kind}`, seq: time_us % 1e9, did, time, witnessedAt: time };
  return { $type: "message", payload: { ...payload, ...(kind === "commit" ? said.commit : said) } };
}

// What the PDS asks for posts, in place of Bluesky's AppView, which wants a PostgreSQL and a Redis: a search over the words
// of what the firehose has told, sorted as the network sorts. Only the PDS may ask, with a token that it has signed.
function appView(frames) {
  const shown = () => {
    const found = new Map();
    for (const { did, kind, time_us, commit } of frames) {
      if (kind !== "commit") continue;
      const uri = `at://${did}/${commit.collection}/${commit.rkey}`;
      const at = new Date(time_us / 1000).toISOString();
      if (commit.operation === "delete") found.delete(uri);
      else {
        const indexedAt = found.get(uri)?.indexedAt ?? at;
        found.set(uri, { uri, cid: commit.cid, author: { did, handle: "handle.invalid" }, record: commit.record, indexedAt });
      }
    }
    return [...found.values()];
  };
  const sortAt = (view) => [view.record.createdAt, view.indexedAt].map((at) => new Date(at).toISOString()).sort()[0];
  return createServer((request, response) => {
    const { pathname, searchParams: asked } = new URL(request.url, "http://localhost");
    const [, claims] = (request.headers.authorization ?? "").split(".");
    const method = claims && JSON.parse(Buffer.from(claims, "base64url")).lxm;
    const until = asked.get("until") ?? "9999";
    let posts = null;
    if (pathname === "/xrpc/app.bsky.feed.getPosts") posts = shown().filter((one) => asked.getAll("uris").includes(one.uri));
    if (pathname === "/xrpc/app.bsky.feed.searchPosts") {
      const matching = shown().filter((one) => one.record.text.includes(asked.get("q")) && sortAt(one) < until);
      posts = matching.sort((one, other) => (sortAt(one) < sortAt(other) ? 1 : -1)).slice(0, Number(asked.get("limit")));
    }
    const isAllowed = posts !== null && pathname === `/xrpc/${method}`;
    response.writeHead(isAllowed ? 200 : 401, { "content-type": "application/json" });
    response.end(JSON.stringify(isAllowed ? { posts } : { error: "AuthMissing", message: "no" }));
  });
}

(async () => {
  const frames = [];
  const search = appView(frames);
  await new Promise((ready) => search.listen(0, "127.0.0.1", ready));
  const asked = { bskyAppViewUrl: `http://localhost:${search.address().port}`, bskyAppViewDid: "did:web:appview.test" };
  const network = await TestNetworkNoAppView.create({ pds: { hostname: "localhost", ...asked }, plc: {} });
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await new Promise((ready) => server.once("listening", ready));
  const wants = (query, one) => {
    const collections = [...query.getAll("wantedCollections"), ...query.getAll("collections")];
    return one.kind !== "commit" || collections.length === 0 || collections.includes(one.commit.collection);
  };
  const send = (socket, one) => wants(socket.query, one) && socket.send(JSON.stringify(socket.isSecond ? second(one) : one));
  server.on("connection", (socket, request) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    socket.query = searchParams;
    socket.isSecond = pathname.endsWith("subscribeEvents");
    const cursor = socket.query.get("cursor");
    for (const one of frames) if (cursor !== null && one.time_us >= Number(cursor)) send(socket, one);
  });
  let handled = Promise.resolve(); // one event after the other, from the first
  const runner = { getCursor: () => 0, trackEvent: (did, seq, handle) => (handled = handled.then(handle)) };
  const firehose = new Firehose({
    idResolver: new IdResolver({ plcUrl: network.plc.url }),
    service: network.pds.url.replace("http", "ws"),
    runner,
    handleEvent: (event) => {
      const made = frame(event);
      if (made === null) return;
      frames.push(made);
      for (const socket of server.clients) send(socket, made);
    },
    onError: (error) => console.error(error),
  });
  void firehose.start();
  const jetstream = `ws://127.0.0.1:${server.address().port}/subscribe`;
  console.log(JSON.stringify({ pds: network.pds.url, jetstream }));
  process.stdin.resume().on("end", () => process.exit(0));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
