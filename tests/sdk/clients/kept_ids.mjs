// What a client in Node does with the ids in its database, before and after its merchant switches to another provider.
// SDK_CLIENT names the client, and SDK_KEPT the customers: their ids and e-mail addresses.
import { base, checks, has, key } from './check.mjs';

async function modempay() {
  const { default: ModemPay } = await import('modem-pay');
  const modempay = new ModemPay(key, { maxRetries: 0 });
  modempay.customers.apiURL = base;
  return modempay.customers;
}

async function paymentkit() {
  const { payment } = await import('./payment_js.mjs');
  return payment.customers;
}

const customers = await { modempay_node: modempay, paymentkit_node: paymentkit }[process.env.SDK_CLIENT]();
const { operation } = checks((error) => { throw error; });

await operation('the ids that were kept', async () => {
  for (const { id, did, email } of JSON.parse(process.env.SDK_KEPT)) {
    has(await customers.retrieve(id), { id, email });
    has(await customers.update(id, { email }), { id, email });
    // A DID is a name of the customer as well.
    if (did) has(await customers.retrieve(did), { id, email });
  }
});

// PaymentKit's SDK has timers that would keep the process alive.
process.exit();
