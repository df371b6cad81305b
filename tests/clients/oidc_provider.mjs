// An identity provider (npm oidc-provider) in which whoever comes signs in as the account that the test names, by
// `?account=` at the page where people would. It can be told to lie about the tokens it gives, as one that is taken
// over might: POST /lie?about=nonce. Arguments: where the gateway has people sent back to.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { createHmac } from "node:crypto";

// Unlike import, it looks into NODE_PATH.
const require = createRequire(import.meta.url);
const { Provider } = require("oidc-provider");
const jose = require("jose");

// Nobody reads its output after the line that says where it listens.
console.info = console.error;

const [redirect] = process.argv.slice(2);
const SECRET = "the-gateway's-own-password-there";

const accounts = {
  alice: { email: "Alice@acme.com", email_verified: true, groups: ["data-owners"] },
  bob: { email: "bob@acme.com", email_verified: true, groups: [] },
  eve: { email: "eve@evil.example", email_verified: true, groups: ["data-owners"] },
  mallory: { email: "alice@acme.com", email_verified: false },
  root: { email: "root@localhost", email_verified: true },
  nobody: { email: "nobody@acme.com", email_verified: true },
};

const { privateKey } = await jose.generateKeyPair("RS256", { extractable: true });
const { privateKey: other } = await jose.generateKeyPair("RS256");
const jwk = { ...(await jose.exportJWK(privateKey)), kid: "one", use: "sig", alg: "RS256" };

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id: "bailiwick", client_secret: SECRET, redirect_uris: [redirect], response_types: ["code"] }],
  jwks: { keys: [jwk] },
  cookies: { keys: ["a test"] },
  claims: { email: ["email", "email_verified"], profile: ["groups"] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
});

let lie;
let refreshed = 0;

const lies = {
  nonce: (claims) => sign({ ...claims, nonce: "another" }),
  "no nonce": ({ nonce, ...claims }) => sign(claims),
  audience: (claims) => sign({ ...claims, aud: "another" }),
  "second audience": (claims) => sign({ ...claims, aud: ["bailiwick", "another"] }),
  issuer: (claims) => sign({ ...claims, iss: "https://id.evil.example" }),
  expired: (claims) => sign({ ...claims, exp: claims.iat - 3600 }),
  old: (claims) => sign({ ...claims, iat: claims.iat - 7200 }),
  key: (claims) => new jose.SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "one" }).sign(other),
  "unknown key": (claims) => new jose.SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "two" }).sign(other),
  none: (claims) => `${part({ alg: "none" })}.${part(claims)}.`,
  hmac: (claims) => {
    const said = `${part({ alg: "HS256" })}.${part(claims)}`;
    return `${said}.${createHmac("sha256", SECRET).update(said).digest("base64url")}`;
  },
};

function part(value) {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function sign(claims) {
  return new jose.SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "one" }).sign(privateKey);
}

provider.use(async (ctx, next) => {
  if (ctx.path === "/lie") {
    lie = ctx.query.about || undefined;
    ctx.body = "";
    return;
  }
  if (ctx.path === "/asked") {
    ctx.body = String(refreshed);
    return;
  }
  if (ctx.path === "/.well-known/openid-configuration") refreshed += 1;
  if (ctx.path.startsWith("/interaction/")) {
    await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: ctx.query.account } });
    ctx.respond = false;
    return;
  }
  await next();
  if (ctx.path === "/token" && lie && ctx.body?.id_token) {
    ctx.body.id_token = await lies[lie](jose.decodeJwt(ctx.body.id_token));
  }
});

server.on("request", provider.callback());
console.log(`port ${server.address().port}`);
