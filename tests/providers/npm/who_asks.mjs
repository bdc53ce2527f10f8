// Who causes a request, in headless Chromium: who_asks.mjs ORIGIN
// Prints as JSON what became of a service worker's navigation, of pictures, and of what other sites try.
import { chromium } from 'playwright-core';

const [, , origin] = process.argv;
const COOKIE = '_oauth2_proxy';
const EVIL = 'http://evil.localhost';
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP *.localhost 127.0.0.1'],
});

// Fills the provider's form where there is one, and says what the page shows in the end.
async function signIn(page) {
  const [form, app] = [page.locator('input[name="username"]'), page.locator('#app')];
  await form.or(app).first().waitFor({ timeout: 20_000 });
  if (await form.count()) {
    await form.fill('alice');
    await page.fill('input[name="password"]', 'alice');
    await page.click('[type="submit"]');
    await app.waitFor({ timeout: 20_000 });
  }
  return app.innerText();
}

async function attempt(what) {
  try {
    return await what();
  } catch (error) {
    return `${error}`.split('\n')[0];
  }
}

const status = (page) => page.evaluate(() => fetch('/oauth2/auth').then((answer) => answer.status));
const user = (page) => page.evaluate(() => fetch('/oauth2/userinfo').then((answer) => answer.json()).then((who) => who.user));
const picture = (page, path) => page.evaluate((src) => new Promise((done) => {
  const image = new Image();
  image.onload = image.onerror = () => done();
  image.src = src;
}), path);

async function opened() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${origin}/page.html`);
  await signIn(page);
  return { context, page };
}

// An application with a service worker whose session has ended.
async function worker() {
  const { context, page } = await opened();
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/worker.js');
    await navigator.serviceWorker.ready;
  });
  await page.reload();
  const controlled = await page.evaluate(() => navigator.serviceWorker.controller !== null);
  await context.clearCookies({ name: COOKIE });
  await page.reload();
  const shown = await attempt(() => signIn(page));
  await context.close();
  return { controlled, shown };
}

// Pictures of one tab while another logs in.
async function pictures() {
  const { context, page } = await opened();
  await context.clearCookies();
  const other = await context.newPage();
  await other.goto(`${origin}/page.html`);
  for (let number = 0; number < 8; number += 1) {
    await picture(page, `/picture?${number}`);
  }
  const shown = await attempt(() => signIn(other));
  await context.close();
  return shown;
}

// What ends no session.
async function background() {
  const { context, page } = await opened();
  const seen = {};
  for (const path of ['/oauth2/sign_out', '/oauth2/sign_in']) {
    await picture(page, path);
    seen[`picture ${path}`] = await status(page);
    await page.evaluate((uri) => fetch(uri, { redirect: 'manual' }).then(() => undefined), path);
    seen[`script ${path}`] = await status(page);
    const fetched = page.waitForResponse((answer) => answer.url().endsWith(`${path}?ahead`));
    await page.evaluate((uri) => {
      const link = document.createElement('link');
      [link.rel, link.href] = ['prefetch', `${uri}?ahead`];
      document.head.append(link);
    }, path);
    await fetched;
    seen[`prefetch ${path}`] = await status(page);
  }
  await context.close();
  return seen;
}

// Another site's link to the sign-out, and its form with a name and a password of its own.
async function elsewhere() {
  const { context, page } = await opened();
  const body = `<a href="${origin}/oauth2/sign_out?rd=%2Fpage.html%3Fafter">out</a>
    <form method="POST" action="${origin}/oauth2/sign_in"><input name="username" value="joe"><input name="password" value="pw">
    <button>in</button></form>`;
  await context.route(`${EVIL}/**`, (route) => route.fulfill({ contentType: 'text/html', body }));
  const evil = await context.newPage();
  await evil.goto(`${EVIL}/`);
  await evil.click('button');
  await evil.locator('h1').waitFor();
  const form = { shown: await evil.innerText('body'), user: await user(page) };
  await evil.goto(`${EVIL}/`);
  await evil.click('a');
  await evil.locator('h1').waitFor();
  const link = { shown: await evil.innerText('h1'), status: await status(page) };
  const held = (await context.cookies(origin)).find((cookie) => cookie.name === COOKIE);
  await evil.click('button:has-text("Sign out")');
  await signIn(evil);
  link.after = evil.url();
  await context.close();
  return { form, link, ticket: held?.value };
}

// The sign-in page's own form.
async function own() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${origin}/oauth2/sign_in?rd=%2Fpage.html`);
  await page.fill('input[name="username"]', 'joe');
  await page.fill('input[name="password"]', 'pw');
  await page.click('form[method="POST"] button');
  await page.locator('#app').waitFor({ timeout: 20_000 });
  const who = await user(page);
  await context.close();
  return who;
}

try {
  console.log(JSON.stringify({
    worker: await worker(), pictures: await pictures(), background: await background(), elsewhere: await elsewhere(), own: await own(),
  }));
} finally {
  await browser.close();
}
