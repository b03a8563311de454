// Makes a new key pair of an ArcBlock app. The components of the app sign with it. As a program, it prints one pair.
import { generateKeyPairSync } from 'node:crypto';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

/** The secret key is the seed followed by the public key. */
export function newAppKey() {
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const hexadecimal = (...parts) => `0x${Buffer.concat(parts.map((part) => Buffer.from(part, 'base64url'))).toString('hex')}`;
  return { secret_key: hexadecimal(d, x), public_key: hexadecimal(x) };
}

if (argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(newAppKey()));
