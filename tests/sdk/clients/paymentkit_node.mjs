// npm @blocklet/payment-js. It signs its requests with the key of its app.
import assert from 'node:assert/strict';
import { newAppKey } from './app_key.mjs';
import { checks, createWithGateway, has, stores, lacks, lacksFilter, expectedTotal } from './check.mjs';
import { payment } from './payment_js.mjs';

const { customers } = payment;
const { operation, refused } = checks((error) => {
  assert.ok(error.response, error.stack);
  return { status: error.response.status, message: error.response.data?.error ?? JSON.stringify(error.response.data) };
});

/** Reads the pages of a list or a search until their count is reached. */
async function* pages(readPage, options) {
  for (let page = 1, total = 1; (page - 1) * 2 < total; page += 1) {
    const answer = await readPage({ ...options, page, pageSize: 2 });
    yield answer;
    total = answer.count;
  }
}

let customer;
let count = 3;

await operation('list', async () => {
  const { count: total, list, paging } = await customers.list();
  assert.deepEqual(list.map(({ name }) => name), ['John Doe', 'Caleb Okpara', 'Amadou Ba']);
  assert.equal(total, 3);
  has(paging, { page: 1, pageSize: 20 });
  [customer] = list;
  has(customer, { name: 'John Doe', email: 'john@example.com', phone: '+237680000000' });
}, lacks('list'));

await operation('retrieve', async () => {
  const { id, name, email, phone, created_at } = customer;
  has(await customers.retrieve(id), { id, name, email, phone, created_at });
}, lacks('retrieve'));

// Integrations sign a user in like this. Only a provider with DIDs can create the customer of a user.
await operation('create on retrieve', async () => {
  const did = 'zNKa5mpgjBK9h5KQ5BxCSSPmy8F5NJwuSmxQ';
  const made = await customers.retrieve(did, { create: true });
  count += 1;
  has(made, { did, email: '' });
  // The same sign-in again makes no second customer.
  has(await customers.retrieve(did, { create: true }), { id: made.id, did });
  has(await customers.retrieve(did), { id: made.id, did });
}, lacksFilter('did') && 'makes no customer of an id');

await operation('update', async () => {
  const { id, phone } = customer;
  const changes = { name: 'John D. Doe', email: 'john.new.doe@example.com' };
  const expected = { id, phone, ...changes };
  has(await customers.update(id, changes), expected);
  has(await customers.retrieve(id), expected);
  // Two equal requests in one second have the same signature.
  const twice = await Promise.all([1, 2].map(() => customers.update(id, changes)));
  twice.forEach((changed) => has(changed, expected));
}, lacks('update'));

await operation('update a field that may not be stored', async () => {
  const address = { country: 'US', state: 'CA', city: 'San Francisco', line1: '123 Main Street', postal_code: '94105' };
  const change = () => customers.update(customer.id, { address });
  await (stores('address.state') ? change().then((changed) => has(changed.address, address)) : refused(400, 'address', change));
}, lacks('update'));

await operation('list to the end', async () => {
  // The client has no create, so the gateway's own API creates the customer.
  for (let number = 1; number <= 7 && !lacks('create'); number += 1, count += 1) {
    await createWithGateway({ name: 'John Doe', email: `john.${number}@example.com` });
  }
  const seen = new Set();
  for await (const { list, count: total } of pages(customers.list)) {
    assert.equal(list.length, Math.min(2, count - seen.size));
    list.forEach(({ id }) => seen.add(id));
    assert.equal(total, expectedTotal(count, seen.size, list.length === 2));
  }
  assert.equal(seen.size, count);
}, lacks('list'));

await operation('list by DID', async () => {
  const { did } = customer;
  const { list } = await customers.list({ did: did ?? 'z1nobody' });
  assert.deepEqual(list.map(({ id }) => id), [customer.id]);
}, lacksFilter('did'));

await operation('search', async () => {
  const { count: total, list } = await customers.search({ query: 'amadou.ba@' });
  assert.equal(total, 1);
  has(list[0], { name: 'Amadou Ba', email: 'amadou.ba@example.com', phone: '+221771234567' });

  const found = [];
  for await (const page of pages(customers.search, { query: 'JOHN.' })) found.push(...page.list);
  assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
  // The search also matches the sample customer, which this script has updated.
  assert.equal(found.length, lacks('create') ? 1 : 8);
}, lacks('list'));

await operation('overdue invoices', async () => {
  const { customer: of, invoices, summary } = await customers.overdueInvoices(customer.id);
  assert.equal(of.id, customer.id);
  has(invoices[0], { id: 'in_0003', status: 'uncollectible', amount_due: '2500', amount_remaining: '2500' });
  has(summary.curr_usd, { amount: '2500' });
}, lacks('overdue_invoices'));

await operation('unknown id', async () => {
  await refused(404, 'null', () => customers.retrieve('cus_nobody'));
  await refused(404, 'null', () => customers.retrieve('z1nobody'));
  await refused(404, 'Customer not found', () => customers.update('cus_nobody', { name: 'Nobody' }));
});

await operation('invalid body', () =>
  refused(400, 'email', () => customers.update(customer.id, { email: 'nobody' })));

await operation('wrong key', async () => {
  process.env.BLOCKLET_APP_SK = newAppKey().secret_key;
  await refused(401, 'verify sig failed', () => customers.list());
});

// The SDK has timers that would keep the process alive.
process.exit();
