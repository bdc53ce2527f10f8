// Keys and tokens of the scripted provider: JWS made by hand, so that wrong ones can be made as well.
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';

export const encode = (value) => Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url');

const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });

// The provider's own, and one that somebody else holds.
export const own = { rsa: rsa(), ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }), ed: generateKeyPairSync('ed25519') };
export const strange = { rsa: rsa(), ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }) };

export const jwk = (pair, kid, alg) => ({ ...pair.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

export const keySet = { keys: [jwk(own.rsa, 'rsa-1', 'RS256'), jwk(own.ec, 'ec-1', 'ES256')] };
export const strangeKeySet = { keys: [jwk(strange.rsa, 'strange-1', 'RS256'), jwk(strange.rsa, 'rsa-1', 'RS256')] };

// Signers: message in, signature out.
export const rs = (hash, pair = own.rsa) => (message) => sign(hash, Buffer.from(message), pair.privateKey);
export const ps = (hash, pair = own.rsa) => (message) => sign(hash, Buffer.from(message), { key: pair.privateKey, padding: 6, saltLength: 32 });
export const es = (pair = own.ec, dsaEncoding = 'ieee-p1363') => (message) => sign('sha256', Buffer.from(message), { key: pair.privateKey, dsaEncoding });
export const hs = (hash, key) => (message) => createHmac(hash, key).update(message).digest();
export const fixed = (bytes) => () => bytes;

// Header and payload may be objects or text that stands for itself.
export function jws(header, payload, signer) {
  const message = `${encode(header)}.${encode(payload)}`;
  return `${message}.${encode(signer(message))}`;
}
