// Looks at the API reference and at the page of problems, and sends requests of the reference. `run` has started the gateway,
// and says in SCENE where it is and which key is public.
import assert from 'node:assert/strict';
import { accessible, browser, desk, openWindow, phone } from './browser.mjs';

const scene = JSON.parse(process.env.SCENE);
const wrong = { outside: [], errors: [], violations: [], dialogs: [], failed: [] };

async function open(options) {
  const page = await openWindow(scene.api, wrong, options);
  page.on('requestfailed', (request) => wrong.failed.push(request.url()));
  page.on('response', (answer) => { if (answer.status() >= 400) wrong.failed.push(`${answer.status()} ${answer.url()}`); });
  return page;
}

/** The operations of the document, as the reference names them. */
async function documented() {
  const { paths } = await (await fetch(`${scene.api}/openapi.json`)).json();
  return Object.entries(paths).flatMap(([path, operations]) => Object.entries(operations).map(([method, { tags: [tag], parameters, security }]) => ({
    name: `${method} ${path}`,
    address: `/docs#tag/${tag.replaceAll(' ', '-')}/${method.toUpperCase()}${path}`,
    needsKey: security === undefined,
    // Without these, and without its type if it has a body, no request can be sent.
    required: ['content-type', ...(parameters ?? []).filter((one) => one.required).map((one) => one.name)],
  })));
}

/** Opens the form in which the reference sends an operation. */
async function openForm(page, { name, address }) {
  await page.goto(address);
  await page.getByRole('button', { name: `(${name})`, exact: false }).filter({ hasText: 'Test Request' }).click();
  const form = page.getByRole('dialog', { name: 'API Client' });
  await form.getByRole('button', { name: /^Send/ }).first().waitFor();
  return form;
}

async function closeForm(page, form) {
  await page.getByRole('button', { name: 'Close Client' }).first().click();
  await form.waitFor({ state: 'hidden' });
}

/** The optional parts that the form includes in the request. */
async function ticked(form, { required }) {
  const boxes = await form.locator('input[type=checkbox]:checked').evaluateAll((inputs) => inputs.map((input) => input.ariaLabel));
  return boxes.filter((label) => !required.some((name) => label === `Include ${name} in request`));
}

/** Opens an operation, and looks at what its form has before the reader has chosen anything. */
async function untouched(page, operation, window) {
  const form = await openForm(page, operation);
  const at = `${operation.name}, ${window}`;
  assert.ok(await form.locator('input[type=checkbox]').count() > 0, `${at}: no form`);
  assert.deepEqual(await ticked(form, operation), [], `${at}: included before the reader chose it`);
  if (operation.needsKey) assert.equal(await form.getByPlaceholder('Token').first().inputValue(), scene.publicKey, `${at}: the public key`);
  return form;
}

/** Sends an operation from its form. */
async function sent(page, operation, window) {
  const form = await untouched(page, operation, window);
  const answered = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/v1/customers');
  await form.getByRole('button', { name: /^Send/ }).first().click();
  const answer = await answered;
  assert.ok(answer.ok(), `${operation.name}, ${window}: ${answer.status()}`);
  await closeForm(page, form);
}

const operations = await documented();
const named = (name) => operations.find((operation) => operation.name === name);
const windows = ['light', 'dark'].flatMap((colorScheme) => [['desk', desk], ['phone', phone]].map(([size, viewport]) => (
  { title: `${colorScheme}, ${size}`, options: { colorScheme, viewport } }
)));
for (const { title, options } of windows) {
  const page = await open(options);
  await sent(page, named('get /v1/customers'), title);
  await sent(page, named('post /v1/customers'), title);
  // The forms are the same in all windows.
  const others = options === windows[0].options ? operations : [];
  for (const operation of others) await closeForm(page, await untouched(page, operation, title));
  await page.context().close();
}

let rules = 0;
for (const { title, options } of windows) {
  // Only the rules of accessibility are evaluated in these windows, which their policy would not allow.
  const page = await open({ ...options, bypassCSP: true });
  rules += await accessible(page, '/docs/problems', title);
  await page.context().close();
}
await browser.close();

// The script of the reference tries whether it may make code from texts. The policy says no, and it goes on without.
wrong.violations = wrong.violations.filter((violation) => violation !== 'script-src eval');
assert.deepEqual(wrong, { outside: [], errors: [], violations: [], dialogs: [], failed: [] });
console.log(
  `the API reference in 2 colour schemes and 2 sizes: ${operations.length} operations, nothing included unasked, the public key filled in, ` +
  `requests answered; the page of problems: ${rules} rules of accessibility met; 0 outside requests, 0 console errors, 0 failed requests`,
);
