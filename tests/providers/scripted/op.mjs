// A provider that does wrong what it is asked to do wrong, and counts what it is asked.
//
// Environment: PORT, CLIENT_ID, CLIENT_SECRET. Everybody is logged in as alice, without a form.
//   http://127.0.0.1:PORT/sound    a provider as it should be, but for what `fault` in the authorization request names
//   http://127.0.0.1:PORT/FAULT    a provider whose documents have that fault
// Control endpoints, not part of any protocol:
//   GET /control/counts   {"/sound/keys": 1, ...}: how often each path was asked
//   GET /control/faults   {documents: [..], logins: [{name, harmless}]}
//   GET /control/bearers  [{name, token, sound}]: tokens to be brought along; GET /control/strangers?n=N: N of unknown keys
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { bearers, strangers } from './bearers.mjs';
import { DOCUMENTS, LOGINS } from './faults.mjs';
import { jws, keySet, rs, strangeKeySet } from './keys.mjs';

const port = Number(process.env.PORT);
const base = `http://127.0.0.1:${port}`;
const client = { id: process.env.CLIENT_ID, secret: process.env.CLIENT_SECRET };
const counts = {};
const issued = new Map();

const PERSON = { sub: 'alice', preferred_username: 'alice', name: 'Alice', email: 'alice@example.test', email_verified: true, groups: ['staff'] };

function metadataOf(issuer) {
  return {
    issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/keys`, response_types_supported: ['code'], subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'ES256'], token_endpoint_auth_methods_supported: ['client_secret_basic'],
    code_challenge_methods_supported: ['S256'], authorization_response_iss_parameter_supported: true,
  };
}

function tokensFor(issuer, fault, nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: issuer, aud: client.id, exp: now + 600, iat: now, nonce, ...PERSON };
  const header = { alg: 'RS256', kid: 'rsa-1' };
  const token = fault.idToken?.(issuer)
    ?? jws(fault.header?.(header) ?? header, fault.claims?.(claims) ?? claims, fault.signer ?? rs('sha256'));
  const access = randomUUID();
  issued.set(access, fault);
  return { access_token: access, token_type: 'Bearer', expires_in: 600, id_token: token };
}

function authorize(response, issuer, query) {
  const code = randomUUID();
  const name = query.get('fault') ?? 'sound';
  issued.set(code, { fault: { ...DOCUMENTS[issuer.slice(base.length + 1)], ...LOGINS[name] }, nonce: query.get('nonce') ?? '' });
  const back = new URL(query.get('redirect_uri'));
  for (const [key, value] of Object.entries({ code, state: query.get('state'), iss: issuer })) back.searchParams.set(key, value);
  response.writeHead(302, { location: back.href }).end();
}

function answer(response, what, override, sound, issuer) {
  const made = override ? override(sound, issuer) : sound;
  if (typeof made === 'function') return made(response);
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(made));
}

function control(response, what, query) {
  const made = {
    counts: () => counts,
    faults: () => ({
      documents: Object.keys(DOCUMENTS),
      logins: Object.entries(LOGINS).map(([name, fault]) => ({ name, harmless: name === 'sound' || fault.harmless === true })),
    }),
    bearers: () => bearers({ issuer: `${base}/sound`, evil: `${base}/evil`, client }),
    strangers: () => strangers(Number(query.get('n')), { issuer: `${base}/sound`, client }),
  }[what]?.();
  response.writeHead(made ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(made ?? {}));
}

async function bodyOf(request) {
  let body = '';
  for await (const part of request) body += part;
  return new URLSearchParams(body);
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, base);
  const [name, ...rest] = url.pathname.slice(1).split('/');
  const what = rest.join('/');
  if (name === 'control') return control(response, what, url.searchParams);
  counts[url.pathname] = (counts[url.pathname] ?? 0) + 1;
  const [issuer, fault] = [`${base}/${name}`, DOCUMENTS[name] ?? {}];
  // A whole provider of somebody else's: whoever asks it has been led astray.
  if (name === 'evil') return answer(response, what, undefined, what === 'keys' ? strangeKeySet : metadataOf(issuer), issuer);
  switch (what) {
    case '.well-known/openid-configuration': return answer(response, what, fault.metadata, metadataOf(issuer), issuer);
    case 'elsewhere/metadata': return answer(response, what, undefined, metadataOf(issuer), issuer);
    case 'keys': return answer(response, what, fault.keys, keySet, issuer);
    case 'elsewhere/keys': return answer(response, what, undefined, keySet, issuer);
    case 'authorize': return authorize(response, issuer, url.searchParams);
    case 'token': case 'elsewhere/token': {
      const attempt = issued.get((await bodyOf(request)).get('code'));
      if (!attempt) return response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
      return answer(response, what, what === 'token' ? attempt.fault.token : undefined, tokensFor(issuer, attempt.fault, attempt.nonce), issuer);
    }
    case 'userinfo': case 'elsewhere/userinfo': {
      const known = issued.get((request.headers.authorization ?? '').replace('Bearer ', ''));
      return answer(response, what, what === 'userinfo' ? known?.userinfo : undefined, PERSON, issuer);
    }
    default: return response.writeHead(404).end();
  }
});
// Answers that are cut off on purpose end in errors of the socket.
server.on('clientError', (_error, socket) => socket.destroy());
process.on('uncaughtException', (error) => console.error(error));
server.listen(port, '127.0.0.1');
