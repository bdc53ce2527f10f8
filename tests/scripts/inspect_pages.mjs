// What a browser makes of pages: reads {pages: [{name, html}], open: [name, ..]} as JSON and prints
// {shapes: {NAME: [..]}, fired: [NAME, ..]}. A shape is every element and attribute of a page as the browser's own parser
// reads it, every address with another scheme than http and https, and every other host that one leads to. Those named in
// `open` are opened as pages, without their Content-Security-Policy, and each element gets the events that markup listens
// to: `fired` called canary().
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { pages, open } = JSON.parse(readFileSync(0, 'utf8'));
const origin = 'http://pages.test';

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--host-resolver-rules=MAP * 127.0.0.1:9'],
});
try {
  const context = await browser.newContext({ bypassCSP: true });
  const fired = new Set();
  let current = '';
  await context.exposeFunction('canary', () => fired.add(current));
  await context.route('**/*', (route) => {
    const number = new URL(route.request().url()).pathname.slice(1);
    const shown = route.request().isNavigationRequest() && route.request().url().startsWith(`${origin}/`) && pages[Number(number)];
    return shown ? route.fulfill({ contentType: 'text/html; charset=utf-8', body: shown.html }) : route.abort();
  });
  const page = await context.newPage();
  page.on('dialog', (dialog) => dialog.dismiss());
  const shapes = await page.evaluate((read) => Object.fromEntries(read.map(({ name, html }) => {
    const shape = new Set();
    const visit = (root) => {
      for (const element of root.querySelectorAll('*')) {
        const tag = element.localName;
        shape.add(tag);
        for (const { name: attribute, value } of element.attributes) {
          shape.add(`${tag} ${attribute}`);
          if (!['href', 'src', 'action', 'formaction', 'data', 'content', 'srcdoc'].includes(attribute)) continue;
          const scheme = /^[\s\u0000-\u0020]*([a-z][a-z0-9+.-]*):/i.exec(value.replace(/[\t\r\n]/g, ''))?.[1]?.toLowerCase();
          if (scheme && !['http', 'https'].includes(scheme)) shape.add(`${tag} ${attribute} ${scheme}`);
          const url = URL.canParse(value, 'http://own.test/') ? new URL(value, 'http://own.test/') : null;
          if (url && url.host !== 'own.test') shape.add(`${tag} ${attribute} ${url.host}`);
        }
        if (tag === 'template') visit(element.content);
      }
    };
    visit(new DOMParser().parseFromString(html, 'text/html'));
    return [name, [...shape].sort()];
  })), pages);
  for (const [number, { name }] of pages.entries()) {
    if (!open.includes(name)) continue;
    current = name;
    await page.goto(`${origin}/${number}`, { waitUntil: 'load', timeout: 10_000 });
    await page.evaluate(() => {
      for (const element of document.querySelectorAll('body *')) {
        for (const event of ['mouseover', 'focus', 'click', 'load', 'error']) {
          // A click on a form's button would leave the page.
          if (event === 'click' && element.closest('form, a')) continue;
          element.dispatchEvent(new Event(event));
        }
      }
    }).catch(() => fired.add(current));
  }
  console.log(JSON.stringify({ shapes, fired: [...fired] }));
} finally {
  await browser.close();
}
