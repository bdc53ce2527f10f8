// Tokens that a caller may bring along: a few sound ones, and one for each known way to forge one.
import { encode, es, fixed, hs, jwk, jws, own, ps, rs, strange } from './keys.mjs';

const now = () => Math.floor(Date.now() / 1000);
const person = (issuer, client) => ({
  iss: issuer, aud: client.id, sub: 'alice', exp: now() + 3600, iat: now(), email: 'alice@example.test', email_verified: true,
  preferred_username: 'alice',
});
const without = (object, name) => { const { [name]: _, ...rest } = object; return rest; };
const flip = (token, at) => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);

// Tokens of this issuer by keys that it does not have, each with a name of its own.
export function strangers(count, { issuer, client }) {
  const signer = es(strange.ec);
  return Array.from({ length: count }, (_, n) => jws({ alg: 'ES256', kid: `unknown-${n}` }, person(issuer, client), signer));
}

export function bearers({ issuer, evil, client }) {
  const claims = person(issuer, client);
  const header = { alg: 'RS256', kid: 'rsa-1', typ: 'JWT' };
  const usual = rs('sha256');
  const made = [];
  const add = (name, token, sound = false) => made.push({ name, token, sound });
  const says = (name, changed, sound) => add(name, jws(header, changed, usual), sound);
  const good = jws(header, claims, usual);
  const [head, payload, signature] = good.split('.');

  add('RS256', good, true);
  add('ES256', jws({ alg: 'ES256', kid: 'ec-1' }, claims, es()), true);
  says('one audience of several', { ...claims, aud: ['another', client.id] }, true);
  says('a fractional exp', { ...claims, exp: now() + 3600.5 }, true);
  says('asked for by another client', { ...claims, azp: 'another' }, true);
  add('an access token', jws({ ...header, typ: 'at+jwt' }, claims, usual), true);
  add('addresses of keys that are not looked at', jws({ ...header, jku: `${evil}/keys`, x5u: `${evil}/chain` }, claims, usual), true);

  add('a deep field that is not looked at', jws(`{"alg":"RS256","a":${'['.repeat(2000)}${']'.repeat(2000)}}`, claims, usual), true);

  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['none'], { a: 1 }, 'HS256\0', ' RS256', 'rs256']) {
    const shown = JSON.stringify(alg);
    add(`alg ${shown}, no signature`, jws({ ...header, alg }, claims, fixed('')));
    add(`alg ${shown}, the signature of a sound one`, `${encode({ ...header, alg })}.${payload}.${signature}`);
  }
  add('no alg', jws(without(header, 'alg'), claims, usual));
  add('no alg, no signature', jws(without(header, 'alg'), claims, fixed('')));

  const pem = own.rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const shared = {
    'the public key': pem, 'the public key without its last line feed': pem.trimEnd(), 'the public key as PKCS#1': own.rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }),
    'the public key as DER': own.rsa.publicKey.export({ type: 'spki', format: 'der' }), 'the key set\'s entry': JSON.stringify(jwk(own.rsa, 'rsa-1', 'RS256')),
    'the modulus': Buffer.from(own.rsa.publicKey.export({ format: 'jwk' }).n, 'base64url'), 'the other public key': own.ec.publicKey.export({ type: 'spki', format: 'pem' }),
    'the client secret': client.secret, 'the client id': client.id, 'nothing': '', 'a usual word': 'secret',
  };
  for (const [name, key] of Object.entries(shared)) add(`HS256 with ${name}`, jws({ ...header, alg: 'HS256' }, claims, hs('sha256', key)));
  for (const bits of ['384', '512']) {
    add(`HS${bits} with the public key`, jws({ ...header, alg: `HS${bits}` }, claims, hs(`sha${bits}`, pem)));
    add(`HS${bits} with the client secret`, jws({ ...header, alg: `HS${bits}` }, claims, hs(`sha${bits}`, client.secret)));
  }

  const attacker = rs('sha256', strange.rsa);
  const strangeKey = jwk(strange.rsa, 'rsa-1', 'RS256');
  add('a key in the header', jws({ alg: 'RS256', kid: 'rsa-1', jwk: strangeKey }, claims, attacker));
  add('a key in the header, unnamed', jws({ alg: 'RS256', jwk: strangeKey }, claims, attacker));
  add('an address of keys in the header', jws({ alg: 'RS256', kid: 'strange-1', jku: `${evil}/keys` }, claims, attacker));
  add('an address of keys in the header, a known name', jws({ alg: 'RS256', kid: 'rsa-1', jku: `${evil}/keys` }, claims, attacker));
  add('an address of a chain in the header', jws({ alg: 'RS256', kid: 'rsa-1', x5u: `${evil}/chain` }, claims, attacker));
  add('a chain in the header', jws({ alg: 'RS256', kid: 'rsa-1', x5c: [strange.rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }, claims, attacker));
  for (const kid of ['rsa-1', 'ec-1', '', '../../../../dev/null', "' OR '1'='1", `${evil}/keys`, 'rsa-1\0', null, 7, ['rsa-1'], { kid: 'rsa-1' }]) {
    add(`a stranger's signature, kid ${JSON.stringify(kid)}`, jws({ alg: 'RS256', kid }, claims, attacker));
  }
  add('HS256 with the empty file, kid /dev/null', jws({ alg: 'HS256', kid: '/dev/null' }, claims, hs('sha256', '')));
  add('a stranger\'s signature, no kid', jws({ alg: 'RS256' }, claims, attacker));
  add('another issuer with keys of its own', jws({ alg: 'RS256', kid: 'strange-1' }, { ...claims, iss: evil }, attacker));

  add('ES256 by name, RS256 by signature', jws({ ...header, alg: 'ES256' }, claims, usual));
  add('RS256 by name, ES256 by signature', jws({ ...header, kid: 'ec-1' }, claims, es()));
  add('ES256 with a DER signature', jws({ alg: 'ES256', kid: 'ec-1' }, claims, es(own.ec, 'der')));
  add('ES256 of zeroes', jws({ alg: 'ES256', kid: 'ec-1' }, claims, fixed(Buffer.alloc(64))));
  add('ES256 of nothing', jws({ alg: 'ES256', kid: 'ec-1' }, claims, fixed('')));
  add('RS256 of zeroes', jws(header, claims, fixed(Buffer.alloc(256))));
  add('RS256 of one', jws(header, claims, fixed(Buffer.concat([Buffer.alloc(255), Buffer.from([1])]))));
  add('RS256 by name, PS256 by signature', jws(header, claims, ps('sha256')));
  add('PS256, which is not offered', jws({ ...header, alg: 'PS256' }, claims, ps('sha256')));
  add('RS384, which is not offered', jws({ ...header, alg: 'RS384' }, claims, rs('sha384')));
  add('RS512, which is not offered', jws({ ...header, alg: 'RS512' }, claims, rs('sha512')));
  add('RS1', jws({ ...header, alg: 'RS1' }, claims, rs('sha1')));
  add('SHA-1 under RS256', jws(header, claims, rs('sha1')));
  add('EdDSA, which is not offered', jws({ alg: 'EdDSA', kid: 'ed-1' }, claims, rs(null, own.ed)));
  for (const crit of [['exp'], [], ['b64'], 'b64', { a: 1 }]) add(`crit ${JSON.stringify(crit)}`, jws({ ...header, crit, b64: false }, claims, usual));
  for (const typ of ['logout+jwt', 'LOGOUT+JWT', 'application/logout+jwt', 'secevent+jwt', 'dpop+jwt', 'token-introspection+jwt']) add(`typ ${typ}`, jws({ ...header, typ }, claims, usual));
  add('typ of another JSON type', jws({ ...header, typ: ['JWT'] }, claims, usual));

  for (const [shown, exp] of Object.entries({ past: now() - 60, now: now() - 1, null: null, text: `${now() + 3600}`, true: true, negative: -1, list: [now() + 3600], object: { a: now() + 3600 } })) says(`exp: ${shown}`, { ...claims, exp });
  says('no exp', without(claims, 'exp'));
  says('exp in letters that JSON lacks', JSON.stringify(claims).replace(/"exp":\d+/, '"exp":Infinity'));
  for (const [shown, nbf] of Object.entries({ future: now() + 3600, text: '0', null: null, true: true, list: [0] })) says(`nbf: ${shown}`, { ...claims, nbf });
  for (const [shown, aud] of Object.entries({
    null: null, empty: '', 'no list': [], other: 'another', others: ['another', 'third'], number: 7, true: true, object: { [client.id]: true }, longer: `${client.id}2`,
    'in capitals': client.id.toUpperCase(), 'with a blank': ` ${client.id}`, nested: [[client.id]], 'in a comma list': `another,${client.id}`, 'with a NUL': `${client.id}\0`,
    issuer,
  })) says(`aud: ${shown}`, { ...claims, aud });
  says('no aud', without(claims, 'aud'));
  says('aud only as azp', { ...without(claims, 'aud'), azp: client.id });
  for (const [shown, iss] of Object.entries({
    other: 'https://evil.test', null: null, list: [issuer], 'with a slash': `${issuer}/`, 'in capitals': issuer.toUpperCase(), 'with a query': `${issuer}?`,
    'with a fragment': `${issuer}#`, longer: `${issuer}.evil.test`, 'behind a name': issuer.replace('//', '//evil@'), https: issuer.replace('http:', 'https:'), number: 7,
  })) says(`iss: ${shown}`, { ...claims, iss });
  says('no iss', without(claims, 'iss'));
  for (const [shown, sub] of Object.entries({ empty: '', number: 7, null: null, list: ['alice'], object: {}, long: 'a'.repeat(256) })) says(`sub: ${shown}`, { ...claims, sub });
  says('no sub', without(claims, 'sub'));

  add('alg twice', jws('{"alg":"none","alg":"RS256","kid":"rsa-1"}', claims, usual));
  add('alg twice, the other way', jws('{"alg":"RS256","alg":"none","kid":"rsa-1"}', claims, fixed('')));
  add('kid twice', jws('{"alg":"RS256","kid":"strange-1","kid":"rsa-1"}', claims, attacker));
  says('deep claims', `{"iss":"${issuer}","a":${'['.repeat(2000)}${']'.repeat(2000)}}`);
  for (const body of ['[]', '"alice"', '7', 'null', '', '{']) says(`claims that are ${body}`, body);
  says('claims with a letter behind them', `${JSON.stringify(claims)}x`);
  says('claims with a byte order mark', `\ufeff${JSON.stringify(claims)}`);
  says('claims twice', `${JSON.stringify(claims)}${JSON.stringify(claims)}`);
  for (const body of ['[]', '"RS256"', '7', 'null', '', '{"alg":"RS256"']) add(`a header that is ${body}`, jws(body, claims, usual));
  says('claims that are no UTF-8', Buffer.concat([Buffer.from(JSON.stringify(claims).slice(0, -1)), Buffer.from([0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])]));

  for (const token of ['', '.', '..', '...', 'a', 'a.b', 'a.b.c', `${head}.${payload}`, `${head}.${payload}.`, `.${payload}.${signature}`, `${head}..${signature}`, `${good}.`, `.${good}`, `${good}.x`, `${good}.x.y`]) {
    add(`parts: ${token.replace(head, 'H').replace(payload, 'P').replace(signature, 'S')}`, token);
  }
  add('encrypted', `${encode({ alg: 'RSA-OAEP', enc: 'A256GCM', kid: 'rsa-1' })}.${encode('key')}.${encode('iv')}.${encode('text')}.${encode('tag')}`);
  add('encrypted with a direct key', `${encode({ alg: 'dir', enc: 'A128GCM' })}..${encode('iv')}.${encode('text')}.${encode('tag')}`);
  add('enc on a signed one', jws({ ...header, enc: 'A128GCM' }, claims, usual));
  add('as a JSON object', JSON.stringify({ protected: head, payload, signature }));
  add('padded', `${head}.${payload}.${signature}==`);
  add('in the other alphabet', `${head}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`);
  add('escaped', good.replaceAll('.', '%2E'));
  add('with a blank', `${head}. ${payload}.${signature}`);
  add('in small letters', good.toLowerCase());
  add('in quotes', `"${good}"`);
  add('two of them', `${good},${good}`);
  for (const cut of [1, 2, 3, 4, 10, 100, signature.length - 1]) add(`short of ${cut}`, good.slice(0, -cut));
  for (const at of [0, 1, 7, head.length + 2, head.length + 20, good.length - 40, good.length - 3]) add(`another letter at ${at}`, flip(good, at));
  const bob = jws(header, { ...claims, sub: 'bob', email: 'bob@example.test', preferred_username: 'bob' }, usual).split('.');
  add('bob\'s claims, alice\'s signature', `${head}.${bob[1]}.${signature}`);
  add('alice\'s claims, bob\'s signature', `${head}.${payload}.${bob[2]}`);
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  add('unused bits set', good.slice(0, -1) + last[last.indexOf(good.at(-1)) ^ 1]);
  add('a token of 20 KiB', jws({ ...header, a: 'a'.repeat(20_000) }, claims, usual));
  return made;
}
