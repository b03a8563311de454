// The browser of these tests: windows that reach nothing but the gateway, and the rules of accessibility.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const desk = { width: 1280, height: 900 };
export const phone = { width: 375, height: 740 };
export const patience = 60_000;

export const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** A window of its own, in which every request to anything but the gateway fails. What no page may do is noted in `wrong`. */
export async function openWindow(gateway, wrong, options) {
  const context = await browser.newContext({ baseURL: gateway, viewport: desk, ...options });
  await context.route('**', (route) => {
    const { origin } = new URL(route.request().url());
    if (origin === gateway) return route.continue();
    wrong.outside.push(route.request().url());
    return route.abort();
  });
  if (options?.javaScriptEnabled !== false) {
    await context.exposeFunction('reportViolation', (text) => wrong.violations.push(text));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`));
    });
  }
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on('dialog', (dialog) => { wrong.dialogs.push(dialog.message()); dialog.dismiss(); });
  page.on('pageerror', (error) => wrong.errors.push(String(error)));
  page.on('console', (message) => {
    // The browser writes a line of its own for an answer that a test asked for, such as 401.
    if (message.type() === 'error' && !/the server responded with a status of 4\d\d/.test(message.text())) wrong.errors.push(message.text());
  });
  return page;
}

/** Rules of accessibility, and that nothing is wider than the window. Returns how many rules were met. */
export async function accessible(page, path, title) {
  await page.goto(path);
  const found = await page.evaluate(async (source) => {
    // The policy of the page allows no inline script, so the rules are evaluated from outside of it.
    if (!window.axe) (0, eval)(source);
    const { violations, passes } = await window.axe.run(document, { resultTypes: ['violations'] });
    const nodes = violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(' ')).join(', ')}`);
    const { scrollWidth, clientWidth } = document.documentElement;
    return { nodes, passes: passes.length, wider: scrollWidth - clientWidth };
  }, axe);
  assert.deepEqual(found.nodes, [], `${path}, ${title}`);
  assert.ok(found.wider <= 0, `${path}, ${title}: ${found.wider} pixels wider than the window`);
  return found.passes;
}
