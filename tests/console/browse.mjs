// Looks at every page of the console. `run` has started the gateway, and says in SCENE where it is and what it has.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, browser, desk, openWindow, patience, phone } from './browser.mjs';

const scene = JSON.parse(process.env.SCENE);
const wrong = { outside: [], errors: [], violations: [], dialogs: [] };
const open = (options) => openWindow(scene.console, wrong, options);

/** Logs in by keyboard alone. */
async function logIn(page, path = '/console') {
  await page.goto(path);
  await page.keyboard.press('Tab');
  while (!(await page.evaluate(() => document.activeElement?.matches('input[name=key]')))) await page.keyboard.press('Tab');
  await page.keyboard.type(scene.key);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Log out' }).waitFor();
}

/** The same page as JSON. */
async function json(path) {
  const answer = await fetch(scene.console + path, { headers: { accept: 'application/json', authorization: `Bearer ${scene.key}` } });
  assert.equal(answer.status, 200, `${path} as JSON`);
  return answer.json();
}

/** Waits until the JSON of a page is as it must become. */
async function until(what, path, holds) {
  const ends = Date.now() + patience;
  for (;;) {
    const found = await json(path);
    if (holds(found)) return found;
    assert.ok(Date.now() < ends, `${what}: ${JSON.stringify(found).slice(0, 2000)}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function withoutLogin() {
  for (const path of ['/console', '/console/customers?merchant=acme', '/console/switches']) {
    const answer = await fetch(scene.console + path, { headers: { accept: 'text/html' } });
    assert.equal(answer.status, 401, path);
    assert.match(await answer.text(), /<form/, 'the login is shown');
    assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/);
    assert.doesNotMatch(answer.headers.get('content-security-policy'), /unsafe/);
  }
  const page = await open();
  await page.goto('/console');
  await page.fill('input[name=key]', 'op_wrong');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').or(page.locator('.notice')).first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Log out' }).count(), 0, 'a wrong key opens nothing');
  await page.context().close();
}

async function forgedForms(page) {
  const [cookie] = await page.context().cookies();
  for (const path of [`/console/customers/acme/${scene.customers[1]}`, '/console/switches', '/console/logout', '/console/explain']) {
    const answer = await fetch(scene.console + path, {
      method: 'POST', redirect: 'manual', body: 'merchant=acme&to=new',
      headers: { cookie: `${cookie.name}=${cookie.value}`, 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site', origin: 'https://elsewhere.example' },
    });
    assert.equal(answer.status, 403, `a form of another site to ${path}`);
  }
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, 'Strict');
}

/** Goes through all pages of the list, and counts whom it shows. */
async function allCustomers(page) {
  await page.goto('/console/customers?merchant=acme');
  const found = new Set();
  for (;;) {
    for (const id of await page.locator('#customers-table tbody th code').allTextContents()) found.add(id);
    const next = page.getByRole('link', { name: 'Next page' });
    if ((await next.count()) === 0) break;
    await next.click();
    await page.getByRole('link', { name: 'First page' }).waitFor();
  }
  for (const id of scene.customers) assert.ok(found.has(id), `${id} is listed`);
  return found.size;
}

async function personalData(page) {
  const path = `/console/customers/acme/${scene.customers[0]}`;
  await page.goto('/console/customers?merchant=acme');
  await page.fill('#find', 'awa.0@example.com');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${path}`);
  const masked = await page.content();
  assert.ok(!masked.includes('awa.0@example.com') && !masked.includes('onerror'), 'personal data is masked');
  const asJson = await json(path);
  assert.equal(asJson.personal_data, 'masked');
  assert.equal(asJson.customer.email, 'a•••');
  await page.getByRole('button', { name: 'Show personal data' }).press('Enter');
  await page.getByText('Personal data is shown in this answer only.').waitFor();
  assert.ok((await page.locator('#answer-table').textContent()).includes(scene.hostile), 'a name is text, and no markup');
  assert.equal(await page.locator('main img').count(), 0);
  await page.goto(path);
  assert.ok(!(await page.content()).includes('awa.0@example.com'), 'it was shown once');
  const audit = await fetch(`${scene.console}/v1/audit?limit=100&cursor=${scene.customers.length * 2}`, { headers: { authorization: `Bearer ${scene.key}` } });
  const shown = (await audit.json()).data.filter((record) => JSON.stringify(record).includes('console.show_personal_data'));
  assert.ok(shown.some((record) => JSON.stringify(record).includes(scene.name)), 'the audit has the name of the key');
}

async function explained(page) {
  await page.goto('/console/explain?merchant=acme');
  await page.fill('#fields', '{"name": "Awa Diop", "did": "did:abt:z1"}');
  await page.selectOption('#on_loss', 'drop');
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText('POST ').first().waitFor();
  assert.match(await page.locator('#fate-table').textContent(), /did.*lost/s);
}

/** Plans, copies, verifies, cuts over and rolls back, each with a confirmation by keyboard. */
async function switched(page) {
  await page.goto('/console/switches');
  await page.getByRole('button', { name: 'Plan the switch of acme' }).press('Enter');
  await page.waitForURL('**/console/switches/sw_*');
  const path = new URL(page.url()).pathname;
  const command = async (word, becomes) => {
    await page.goto(path);
    await page.locator(`#command-${word}`).press('Enter');
    await page.waitForURL(`**${path}/${word}`);
    const accept = page.locator('#accept');
    if ((await accept.count()) > 0) await accept.press('Space');
    await page.locator('#confirm').press('Enter');
    await page.waitForURL(`**${path}`);
    return until(word, path, becomes);
  };
  await until('the plan', path, ({ switch: now }) => now.state === 'planned');
  const early = await json(path);
  const cutover = early.commands.find((entry) => entry.action === 'cutover');
  assert.ok(!cutover.is_possible && cutover.refused.length > 0, 'the reasons say why there is no cutover yet');
  await page.goto(path);
  assert.equal(await page.locator('#command-cutover').count(), 0, 'and there is no link to it');
  await command('run', ({ switch: now }) => now.state === 'copied' && now.records.pending === 0 && now.marks.pending === 0);
  const verified = await command('verify', ({ switch: now }) => now.verified?.complete);
  assert.ok(verified.switch.verified.equal + verified.switch.verified.equal_after_rule >= scene.customers.length);
  await until('the gate', path, ({ commands }) => commands.find((entry) => entry.action === 'cutover').is_possible);
  await command('cutover', ({ switch: now }) => now.state === 'switched');
  await command('rollback', ({ switch: now }) => now.state === 'copied');
  return path;
}

/** The pages, with their parameters. */
function paths(switchPath, operation) {
  const customer = `/console/customers/acme/${scene.customers[1]}`;
  return [
    '/console', '/console/merchants', '/console/merchants/acme?against=notchpay', '/console/customers', '/console/customers?merchant=acme',
    customer, `/console/explain?merchant=acme&id=${scene.customers[1]}`, '/console/operations', '/console/operations?outcome=done', operation,
    '/console/switches', switchPath, `${switchPath}/complete`, `${switchPath}/verify`, '/console/providers', '/console/problems', '/console/login',
  ];
}

const began = Date.now();
await withoutLogin();
const page = await open();
await logIn(page);
await forgedForms(page);
const listed = await allCustomers(page);
assert.ok(listed > 100, `${listed} customers`);
await personalData(page);
await explained(page);
const switchPath = await switched(page);
const [operation] = (await json('/console/operations')).operations;
const all = paths(switchPath, `/console/operations/${operation.merchant}/${operation.id}`);

let rules = 0;
for (const colorScheme of ['light', 'dark']) {
  for (const [title, viewport] of [['desk', desk], ['phone', phone]]) {
    // Only the rules of accessibility are evaluated in these windows, which their policy would not allow.
    const window = await open({ colorScheme, viewport, bypassCSP: true });
    await logIn(window);
    for (const path of all) rules += await accessible(window, path, `${colorScheme}, ${title}`);
    await window.context().close();
  }
}

// With its policy, and without JavaScript, each page shows the same.
const plain = await open({ javaScriptEnabled: false });
await plain.goto('/console/login');
await plain.fill('input[name=key]', scene.key);
await plain.keyboard.press('Enter');
await plain.getByRole('button', { name: 'Log out' }).waitFor();
for (const path of all) {
  await page.goto(path);
  const title = await page.locator('h1').textContent();
  const headings = await page.locator('h2').allTextContents();
  await plain.goto(path);
  assert.equal(await plain.locator('h1').textContent(), title, `${path} without JavaScript`);
  assert.deepEqual(await plain.locator('h2').allTextContents(), headings, `${path} without JavaScript`);
}

const folder = scene.screenshots ?? mkdtempSync(join(scene.folder, 'screenshots-'));
mkdirSync(folder, { recursive: true });
const pictures = [
  ['console-light', 'light', desk, '/console'],
  ['console-dark', 'dark', desk, switchPath],
  ['console-phone', 'light', phone, `/console/customers/acme/${scene.customers[1]}`],
];
for (const [name, colorScheme, viewport, path] of pictures) {
  const window = await open({ colorScheme, viewport });
  await logIn(window);
  await window.goto(path);
  await window.screenshot({ path: join(folder, `${name}.png`) });
  await window.context().close();
}
await browser.close();

assert.deepEqual(wrong, { outside: [], errors: [], violations: [], dialogs: [] });
console.log(
  `${all.length} pages in 2 colour schemes and 2 sizes, with and without JavaScript: ${rules} rules of accessibility met, none broken; ` +
  `0 outside requests, 0 console errors, 0 violations of the policy; ${listed} customers listed; a switch cut over and rolled back; ` +
  `${((Date.now() - began) / 1000).toFixed(0)} s`,
);
