// The certified provider for the scenarios: any user name logs in with the same word as password,
// and a ledger tells how often each code reached the token endpoint.
//
// Environment: PORT, REDIRECT_URIS (comma-separated), optional HOST_NAME (to listen on; default 127.0.0.1) and ISSUER
// (where a gateway stands in front), CLIENT_ID, CLIENT_SECRET, and EMAIL_DOMAIN of the usual users (example.test).
// Control endpoints, not part of any protocol:
//   GET  /control/ledger   {codes: {CODE: {asked, granted}}, refreshes: {TOKEN: times}, tokens: [..], logins}
//   POST /control/reset    empties the ledger
//   POST /control/delay?ms=N   lets every later token request wait N ms
import { createHash } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';

const port = Number(process.env.PORT);
const host = process.env.HOST_NAME ?? '127.0.0.1';
const issuer = process.env.ISSUER ?? `http://${host}:${port}`;

// Users whose claims differ from the rule in `claimsOf`.
const SPECIAL = {
  carol: { email: 'carol@example.test', email_verified: true, groups: ['a,b', 'c d', 'admins'] },
  nogroups: { email: 'nogroups@example.test', email_verified: true },
  // So many groups, which do not compress, that a session kept in cookies needs two of them.
  crowd: { email: 'crowd@example.test', email_verified: true, groups: Array.from({ length: 24 }, (_, n) => createHash('sha256').update(`group ${n}`).digest('hex').slice(0, 40)) },
  // An ID token of about 4 KiB that does not compress.
  hoarder: { email: 'hoarder@example.test', email_verified: true, groups: Array.from({ length: 40 }, (_, n) => createHash('sha384').update(`hoard ${n}`).digest('base64url')) },
  outsider: { email: 'outsider@other.test', email_verified: true, groups: ['outsider'] },
};

const emailDomain = process.env.EMAIL_DOMAIN ?? 'example.test';

function claimsOf(sub) {
  const usual = { email: `${sub}@${emailDomain}`, email_verified: true, groups: [sub, 'staff'] };
  return { sub, preferred_username: sub, name: sub, ...(SPECIAL[sub] ?? usual) };
}

let ledger = { codes: {}, refreshes: {}, tokens: [], logins: 0 };
let tokenDelay = 0;

const provider = new Provider(issuer, {
  clients: [{
    client_id: process.env.CLIENT_ID ?? 'rp',
    client_secret: process.env.CLIENT_SECRET ?? 'rp-secret-rp-secret-rp-secret-32',
    redirect_uris: process.env.REDIRECT_URIS.split(','),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  findAccount: async (_ctx, sub) => ({ accountId: sub, claims: async () => claimsOf(sub) }),
  // The library refuses calls to loopback addresses unless fetch is replaced.
  fetch: (url, { dispatcher, ...options } = {}) => globalThis.fetch(url, options),
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant(ctx) {
    const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
    // A code's second use revokes its grant: then a new one is due.
    const found = known && await ctx.oidc.provider.Grant.find(known);
    if (found) return found;
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile groups offline_access');
    await grant.save();
    return grant;
  },
  ttl: { AccessToken: 3600, AuthorizationCode: 120, IdToken: 3600, RefreshToken: 86400, Session: 86400, Interaction: 600, Grant: 86400 },
  cookies: { keys: ['scenario-provider-cookie-key'] },
});

provider.use(async (ctx, next) => {
  const isToken = ctx.method === 'POST' && ctx.path === '/token';
  if (isToken && tokenDelay) await new Promise((done) => setTimeout(done, tokenDelay));
  await next();
  const refresh = isToken && ctx.oidc?.body?.refresh_token;
  if (refresh) ledger.refreshes[refresh] = (ledger.refreshes[refresh] ?? 0) + 1;
  const code = isToken && ctx.oidc?.body?.code;
  if (!code) return;
  const entry = (ledger.codes[code] ??= { asked: 0, granted: 0 });
  entry.asked += 1;
  if (ctx.status !== 200) return;
  entry.granted += 1;
  for (const name of ['id_token', 'access_token', 'refresh_token']) {
    if (ctx.body?.[name]) ledger.tokens.push(ctx.body[name]);
  }
});

const page = (uid, note) => `<!doctype html><meta charset="utf-8"><title>Sign in</title>
<h1>Scenario provider</h1><p>${note}</p>
<form method="post" action="/interaction/${uid}">
<label>Name <input name="username" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button type="submit">Sign in</button></form>`;

async function bodyOf(req) {
  let text = '';
  for await (const piece of req) text += piece;
  return text;
}

async function interaction(req, res) {
  const { uid, prompt } = await provider.interactionDetails(req, res);
  // The grant holds everything already; asking for it anew is how a client gets a refresh token.
  if (prompt.name === 'consent') return provider.interactionFinished(req, res, { consent: {} }, { mergeWithLastSubmission: true });
  if (prompt.name !== 'login') throw new Error(`unexpected prompt ${prompt.name}`);
  if (req.method === 'GET') return html(res, page(uid, 'The password is the name.'));
  const form = new URLSearchParams(await bodyOf(req));
  const name = form.get('username') ?? '';
  if (!name || name !== form.get('password')) return html(res, page(uid, 'Wrong name or password.'));
  ledger.logins += 1;
  await provider.interactionFinished(req, res, { login: { accountId: name } });
}

function html(res, text) {
  res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(text);
}

function control(url, res) {
  if (url.pathname === '/control/reset') ledger = { codes: {}, refreshes: {}, tokens: [], logins: 0 };
  if (url.pathname === '/control/delay') tokenDelay = Number(url.searchParams.get('ms'));
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(ledger));
}

// A gateway says by X-Forwarded-Proto and -Host what browsers asked for.
provider.proxy = true;
const protocol = provider.callback();
const server = http.createServer((req, res) => {
  const url = new URL(req.url, issuer);
  if (url.pathname.startsWith('/control/')) return control(url, res);
  if (!url.pathname.startsWith('/interaction/')) return protocol(req, res);
  interaction(req, res).catch((error) => res.writeHead(500).end(String(error)));
});
server.keepAliveTimeout = 60_000;
server.listen(port, host, () => console.log(`listening ${issuer}`));
