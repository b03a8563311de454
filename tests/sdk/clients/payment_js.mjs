// npm @blocklet/payment-js, as the clients here use it. It signs its requests with the key of its app.
import { createRequire } from 'node:module';
import { base, key } from './check.mjs';

Object.assign(process.env, {
  BLOCKLET_MODE: 'test',
  BLOCKLET_APP_SK: process.env.SDK_APP_SECRET_KEY,
  BLOCKLET_COMPONENT_DID: key,
  BLOCKLET_MOUNT_POINTS: JSON.stringify([
    { did: 'z2qaCNvKMv5GjouKdcDWexv6WqtHbpNPQDnAk', name: 'payment-kit', status: 6, webEndpoint: base },
  ]),
});
// The SDK reads its environment when it is loaded.
const { default: payment } = createRequire(import.meta.url)('@blocklet/payment-js');
payment.environments.setTestMode(true);

export { payment };
