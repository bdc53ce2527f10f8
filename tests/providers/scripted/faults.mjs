// What may be wrong with a provider. Each fault overrides what it names: `metadata`, `keys`, `token` and `userinfo` get the
// sound answer and return another one, or a function that writes to the socket itself; `claims` and `header` change the ID
// token, `signer` its signature; `idToken` gets the whole token. `groups`: whether the ID token lacks what userinfo has.
import { encode, es, fixed, hs, jws, own, rs, strange } from './keys.mjs';

const MEGABYTE = 1024 * 1024;
const json = { 'content-type': 'application/json' };

const text = (body, status = 200, headers = json) => (response) => response.writeHead(status, headers).end(body);
const huge = () => (response) => {
  response.writeHead(200, json);
  response.write('{"padding":"');
  for (let n = 0; n < 48; n += 1) response.write('a'.repeat(MEGABYTE / 16));
  response.end('"}');
};
const deep = (levels = 400_000) => text('{"a":'.repeat(levels) + '1' + '}'.repeat(levels));
const deepArray = (levels = 400_000) => text('[' .repeat(levels) + ']'.repeat(levels));
const half = (sound) => (response) => {
  const body = JSON.stringify(sound);
  response.writeHead(200, { ...json, 'content-length': body.length });
  response.write(body.slice(0, body.length / 2), () => response.destroy());
};
// What is redirected to is counted under /elsewhere, and would be sound.
const redirected = (status, issuer, what) => text('', status, { location: `${issuer}/elsewhere/${what}` });
const never = () => () => {};
const drip = () => (response) => {
  response.writeHead(200, json);
  const timer = setInterval(() => response.write(' '), 300);
  response.on('close', () => clearInterval(timer));
};
const garbage = () => (response) => response.socket.end('\0\xff\x16\x03\x01 no HTTP at all\r\n\r\n');
const endless = () => (response) => {
  response.socket.write('HTTP/1.1 200 OK\r\n');
  const line = `X-Padding: ${'a'.repeat(8000)}\r\n`;
  const more = () => { while (response.socket?.writable && response.socket.write(line)); };
  response.socket.on('drain', more).on('error', () => {});
  more();
};

const soon = () => Math.floor(Date.now() / 1000);
const lacksEmail = (claims) => { const { email, email_verified, ...rest } = claims; return rest; };

// Faults of the documents: they are read once, so each has an issuer of its own.
export const DOCUMENTS = {
  metadata_of_another_issuer: { metadata: (sound) => ({ ...sound, issuer: 'https://evil.test' }) },
  metadata_as_page: { metadata: () => text('<html>Sign in</html>', 200, { 'content-type': 'text/html' }) },
  metadata_of_3_megabytes: { metadata: huge },
  metadata_400000_deep: { metadata: () => deep() },
  metadata_as_list: { metadata: () => deepArray(3) },
  metadata_cut_off: { metadata: half },
  metadata_redirected: { metadata: (_sound, issuer) => redirected(302, issuer, 'metadata') },
  metadata_with_endless_head: { metadata: endless },
  metadata_never: { metadata: never },
  token_endpoint_is_a_file: { metadata: (sound) => ({ ...sound, token_endpoint: 'file:///etc/passwd' }) },
  keys_are_a_file: { metadata: (sound) => ({ ...sound, jwks_uri: 'file:///etc/passwd' }) },
  login_page_is_a_script: { metadata: (sound) => ({ ...sound, authorization_endpoint: 'javascript:alert(1)' }) },
  login_page_is_data: { metadata: (sound) => ({ ...sound, authorization_endpoint: 'data:text/html,<script>1</script>' }) },
  endpoints_of_other_types: { metadata: (sound) => ({ ...sound, token_endpoint: ['x'], jwks_uri: { a: 1 } }) },
  only_unsigned_tokens: { metadata: (sound) => ({ ...sound, id_token_signing_alg_values_supported: ['none', 'HS256'] }) },
  keys_redirected: { keys: (_sound, issuer) => redirected(302, issuer, 'keys') },
  keys_of_3_megabytes: { keys: huge },
  keys_400000_deep: { keys: () => deep() },
  no_keys: { keys: () => ({ keys: [] }) },
  symmetric_key: {
    keys: () => ({ keys: [{ kty: 'oct', kid: 'rsa-1', alg: 'HS256', k: encode('shared') }] }),
    header: (header) => ({ ...header, alg: 'HS256' }), signer: hs('sha256', 'shared'),
  },
};

// Faults of one login: the browser names them in the authorization request.
export const LOGINS = {
  sound: {},
  token_redirected: { token: (_sound, issuer) => redirected(307, issuer, 'token') },
  token_of_3_megabytes: { token: huge },
  token_400000_deep: { token: () => deep() },
  token_as_page: { token: () => text('<html></html>', 200, { 'content-type': 'text/html' }) },
  token_as_list: { token: () => text('[1]') },
  token_cut_off: { token: half },
  token_is_no_http: { token: garbage },
  token_with_endless_head: { token: endless },
  token_never: { token: never },
  token_in_drops: { token: drip },
  token_breaks_down: { token: () => text('{"error":"<script>alert(1)</script>"}', 500) },
  no_id_token: { token: ({ id_token, ...rest }) => rest },
  id_token_is_null: { token: (sound) => ({ ...sound, id_token: null }) },
  id_token_is_an_object: { token: (sound) => ({ ...sound, id_token: { a: 1 } }) },
  expiry_of_another_type: { token: (sound) => ({ ...sound, expires_in: { a: 1 } }), harmless: true },
  expiry_beyond_all_time: { token: (sound) => ({ ...sound, expires_in: 1e300 }), harmless: true },
  id_token_of_another_issuer: { claims: (claims) => ({ ...claims, iss: 'https://evil.test' }) },
  id_token_with_another_nonce: { claims: (claims) => ({ ...claims, nonce: 'another' }) },
  id_token_without_nonce: { claims: ({ nonce, ...rest }) => rest },
  id_token_for_another_client: { claims: (claims) => ({ ...claims, aud: 'another' }) },
  id_token_for_nobody: { claims: ({ aud, ...rest }) => rest },
  id_token_asked_for_by_another: { claims: (claims) => ({ ...claims, aud: [claims.aud, 'another'], azp: 'another' }) },
  id_token_expired: { claims: (claims) => ({ ...claims, exp: soon() - 10 }) },
  id_token_without_expiry: { claims: ({ exp, ...rest }) => rest },
  id_token_of_the_future: { claims: (claims) => ({ ...claims, iat: soon() + 3600 }) },
  id_token_without_subject: { claims: ({ sub, ...rest }) => rest },
  id_token_with_a_number_as_subject: { claims: (claims) => ({ ...claims, sub: 7 }) },
  id_token_with_a_long_subject: { claims: (claims) => ({ ...claims, sub: 'a'.repeat(10_000) }) },
  id_token_with_a_nul: { claims: (claims) => ({ ...claims, preferred_username: 'ali\0ce', email: 'a\0@example.test' }) },
  id_token_with_a_line_break_after_the_subject: { claims: (claims) => ({ ...claims, sub: `${claims.sub}\r\n` }) },
  id_token_with_a_blank_before_the_email: { claims: (claims) => ({ ...claims, email: ` ${claims.email}` }) },
  id_token_with_a_line_break_in_the_name: { claims: (claims) => ({ ...claims, preferred_username: 'admin\n' }) },
  id_token_with_groups_that_no_list_holds: { claims: (claims) => ({ ...claims, groups: ['x,admins', 'staff\nadmins', ' ops', ''] }), harmless: true },
  id_token_with_60000_groups: { claims: (claims) => ({ ...claims, groups: Array.from({ length: 60_000 }, (_, n) => `g${n}`) }) },
  id_token_400000_deep: { idToken: (issuer) => jws({ alg: 'RS256', kid: 'rsa-1' }, `{"iss":"${issuer}","a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, rs('sha256')) },
  id_token_unsigned: { header: () => ({ alg: 'none' }), signer: fixed('') },
  id_token_signed_with_the_client_secret: { header: () => ({ alg: 'HS256' }), signer: hs('sha256', process.env.CLIENT_SECRET) },
  id_token_signed_with_the_public_key: { header: () => ({ alg: 'HS256', kid: 'rsa-1' }), signer: hs('sha256', own.rsa.publicKey.export({ type: 'spki', format: 'pem' })) },
  id_token_signed_by_a_stranger: { signer: rs('sha256', strange.rsa) },
  id_token_signed_with_the_other_algorithm: { header: (header) => ({ ...header, alg: 'ES256' }) },
  id_token_with_a_key_of_its_own: { header: () => ({ alg: 'ES256', jwk: strange.ec.publicKey.export({ format: 'jwk' }) }), signer: es(strange.ec) },
  id_token_with_critical_header: { header: (header) => ({ ...header, crit: ['b64'], b64: false }) },
  id_token_is_a_logout_token: { header: (header) => ({ ...header, typ: 'logout+jwt' }) },
  id_token_encrypted: { idToken: () => `${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d` },
  id_token_of_another_access_token: { claims: (claims) => ({ ...claims, at_hash: encode('0123456789abcdef') }) },
  userinfo_of_somebody_else: { claims: lacksEmail, userinfo: (sound) => ({ ...sound, sub: 'mallory', email: 'mallory@example.test' }) },
  userinfo_without_subject: { claims: lacksEmail, userinfo: ({ sub, ...rest }) => rest },
  userinfo_redirected: { claims: lacksEmail, userinfo: (_sound, issuer) => redirected(307, issuer, 'userinfo') },
  userinfo_of_3_megabytes: { claims: lacksEmail, userinfo: huge },
  userinfo_400000_deep: { claims: lacksEmail, userinfo: () => deep() },
  userinfo_as_list: { claims: lacksEmail, userinfo: () => text('[1]') },
  userinfo_signed_by_a_stranger: {
    claims: lacksEmail,
    userinfo: (sound) => text(jws({ alg: 'RS256', kid: 'rsa-1' }, sound, rs('sha256', strange.rsa)), 200, { 'content-type': 'application/jwt' }),
  },
};
