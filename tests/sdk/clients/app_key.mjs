// A new key pair of an ArcBlock app, with which its components sign. Run by itself, it prints one.
import { generateKeyPairSync } from 'node:crypto';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

/** The secret key is the seed and the public key behind it. */
export function newAppKey() {
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const hexadecimal = (...parts) => `0x${Buffer.concat(parts.map((part) => Buffer.from(part, 'base64url'))).toString('hex')}`;
  return { secret_key: hexadecimal(d, x), public_key: hexadecimal(x) };
}

if (argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(newAppKey()));
