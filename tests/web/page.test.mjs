/*
 * page.test.mjs - the page at / against a real stack: what a person sees and can do.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
	api, applyTable, launch, open, readToken, seriousFindings, until, url, writeToken,
} from './browser.mjs';

const MARKUP = '<img src=x onerror=document.title=1><b>bold</b>';

let browser;
let done; /* an apply that completed before the first test */

before(async () => {
	browser = await launch();
	done = await applyTable({ comment: MARKUP });
});
after(() => browser?.close());

/* Run a test in its own page, and let nothing go wrong in it unseen. */
function pageTest(name, options, body) {
	test(name, async (t) => {
		const page = await open(browser, options);
		try {
			await body(page, t);
			assert.deepEqual(page.problems, []);
		} finally {
			await page.context().close();
		}
	});
}

const row = (page, applyId) => page.locator('#applies tr', { hasText: applyId });

async function signIn(page, token) {
	await page.getByLabel('Token').fill(token);
	await page.getByRole('button', { name: 'Show the applies' }).click();
}

pageTest('asks for a token, then lists the apply with state, database and environment', {},
	async (page) => {
		await signIn(page, readToken);
		const line = row(page, done.applyId);
		await line.waitFor();
		const cells = (await line.locator('th, td').allInnerTexts()).map((text) => text.trim());
		assert.match(cells[0], /Completed$/);
		assert.deepEqual(cells.slice(1, 4), [done.applyId, 'shop', 'staging']);
		assert.notEqual(cells[4], '—', 'no caller');
		assert.match(cells[5], /\d/, 'no start');
		assert.equal(await page.evaluate(() => sessionStorage.getItem('schemabot.token')), readToken);
		assert.equal(await page.evaluate(() => document.cookie + localStorage.length), '0');
	});

pageTest('says that a token is wrong, forgets it, and takes the right one',
	{ failedRequests: true }, async (page) => {
		await signIn(page, 'not-a-token');
		const alert = page.getByRole('alert');
		await alert.waitFor();
		assert.match(await alert.innerText(), /did not accept this token/);
		assert.equal(await page.evaluate(() => sessionStorage.length), 0);
		await signIn(page, 'two words');
		await page.getByText('without spaces').waitFor();
		await signIn(page, writeToken);
		await row(page, done.applyId).waitFor();
		assert.equal(await alert.count(), 0);
		await page.getByRole('button', { name: 'Forget the token' }).click();
		await page.getByLabel('Token').waitFor();
		assert.equal(await page.evaluate(() => sessionStorage.length), 0);
	});

pageTest('keyboard only: sign in, open the apply, return', {}, async (page) => {
	await page.waitForFunction(() => document.activeElement.id === 'token');
	await page.keyboard.type(readToken);
	await page.keyboard.press('Enter');
	const link = page.getByRole('link', { name: done.applyId });
	await link.waitFor();
	await until('Tab reaches the link of the apply', async () => {
		await page.keyboard.press('Tab');
		return link.evaluate((node) => node === document.activeElement);
	});
	await page.keyboard.press('Enter');
	await page.getByRole('heading', { name: done.applyId }).waitFor();
	await page.waitForFunction(() => document.activeElement.id === 'detail-name');
	await page.keyboard.press('Shift+Tab');
	await page.keyboard.press('Enter');
	await page.waitForFunction(() => document.activeElement.textContent === 'Applies');
});

pageTest('the detail shows table, statement and state, and markup stays text',
	{ token: readToken }, async (page) => {
		await page.evaluate((id) => { location.hash = `#/apply/${id}`; }, done.applyId);
		const table = page.locator('article', { hasText: done.table });
		await table.waitFor();
		assert.match(await table.locator('.state').innerText(), /Completed$/);
		assert.match(await table.locator('pre').innerText(), /CREATE TABLE/);
		assert.ok((await table.locator('pre').innerText()).includes(MARKUP));
		assert.equal(await table.getByRole('progressbar').getAttribute('value'), '100');
		assert.equal(await page.locator('main img, main b').count(), 0);
		assert.match(await page.locator('#facts').innerText(), /shop/);
	});

pageTest('an unknown apply is an explanation, and the list is one step away',
	{ token: readToken, path: '/#/apply/apply-0000', failedRequests: true }, async (page) => {
		await page.locator('#missing').waitFor();
		assert.notEqual((await page.locator('#missing').innerText()).trim(), '');
		await page.getByRole('link', { name: 'SchemaBot' }).click();
		await row(page, done.applyId).waitFor();
	});

pageTest('a new apply appears and completes by itself, is announced, and focus stays',
	{ token: readToken }, async (page) => {
		await row(page, done.applyId).waitFor();
		await page.getByRole('link', { name: done.applyId }).focus();
		const fresh = await applyTable({ settled: false });
		await row(page, fresh.applyId).filter({ hasText: 'Completed' }).waitFor();
		await page.waitForFunction(
			(id) => document.getElementById('live').textContent.includes(id), fresh.applyId);
		assert.equal(await page.evaluate(() => document.activeElement.textContent), done.applyId);
	});

pageTest('an unchanged list costs a 304', { token: readToken }, async (page) => {
	const path = (reply) => new URL(reply.url()).pathname;
	const reply = await page.waitForResponse(
		(it) => path(it) === '/api/status' && it.status() === 304);
	assert.ok(reply.request().headers()['if-none-match']);
	assert.ok(await row(page, done.applyId).isVisible());
});

pageTest('says so when the server is away, and when it is back',
	{ token: readToken, failedRequests: true }, async (page) => {
		await row(page, done.applyId).waitFor();
		await page.context().setOffline(true);
		const banner = page.locator('#stale');
		await banner.waitFor();
		assert.match(await banner.innerText(), /cannot be reached.*What you see is from.*\d/);
		assert.ok(await row(page, done.applyId).isVisible(), 'the old list is gone');
		await page.context().setOffline(false);
		await banner.waitFor({ state: 'hidden' });
	});

for (const colorScheme of ['light', 'dark']) {
	for (const width of [360, 1440]) {
		const look = { colorScheme, viewport: { width, height: 800 } };
		const fits = (page) => page.evaluate(
			() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

		pageTest(`accessible and not too wide: ${colorScheme}, ${width} px`, look, async (page) => {
			await page.getByLabel('Token').waitFor();
			assert.deepEqual(await seriousFindings(page), []);
			assert.ok(await fits(page), 'sign-in is too wide');

			await signIn(page, readToken);
			await row(page, done.applyId).waitFor();
			assert.deepEqual(await seriousFindings(page), []);
			assert.ok(await fits(page), 'list is too wide');

			await page.getByRole('link', { name: done.applyId }).click();
			await page.locator('article').first().waitFor();
			assert.deepEqual(await seriousFindings(page), []);
			assert.ok(await fits(page), 'detail is too wide');
		});
	}
}

test('the two themes differ', async () => {
	const ground = [];
	for (const colorScheme of ['light', 'dark']) {
		const page = await open(browser, { colorScheme });
		ground.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
		await page.context().close();
	}
	assert.notEqual(ground[0], ground[1]);
});

test('an inline script does not run, and the tests above would have noticed it', async () => {
	const page = await open(browser);
	await page.evaluate(() => {
		const script = document.createElement('script');
		script.textContent = 'document.title = "inline";';
		document.head.append(script);
	});
	await until('the violation is reported',
		() => page.problems.some((it) => it.startsWith('CSP: script-src')));
	assert.notEqual(await page.title(), 'inline');
	await page.context().close();
});

test('the page says what the API says', async () => {
	const page = await open(browser, { token: readToken });
	await row(page, done.applyId).waitFor();
	await until('both say the same', async () => { /* others apply something meanwhile */
		const { applies } = await api('GET', '/api/status?limit=50');
		const shown = await page.locator('#applies th').allInnerTexts();
		return shown.sort().join() === applies.map((apply) => apply.apply_id).sort().join();
	});
	assert.equal(await page.evaluate(() => location.href), `${url}/`);
	await page.context().close();
});
