// One login in headless Chromium: browse.mjs URL USER HOST_RULE
// Prints {url, text, cookies} of the page at the end as JSON.
import { chromium } from 'playwright-core';

const [, , url, user, hostRule] = process.argv;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', `--host-resolver-rules=${hostRule}`],
});
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url, { timeout: 30_000 });
  await page.fill('input[name="username"]', user, { timeout: 15_000 });
  await page.fill('input[name="password"]', user);
  await Promise.all([page.waitForURL(url, { timeout: 30_000 }), page.click('[type="submit"]')]);
  // A reload shows that the cookie that came with the redirect is really held.
  await page.reload();
  console.log(JSON.stringify({ url: page.url(), text: await page.innerText('body'), cookies: await context.cookies() }));
} finally {
  await browser.close();
}
