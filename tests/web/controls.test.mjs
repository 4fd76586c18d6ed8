/*
 * controls.test.mjs - what an operator can ask for on the page, and how far a table is:
 * on the scripted engine that lives in a driver, which waits for its cutover as long as
 * nobody asks for one; numbers that it does not have are put into the API's answer.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
	api, deferTable, launch, open, readToken, seriousFindings, stateOf, until, writeToken,
} from './browser.mjs';

let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

/* A page with one apply, in which nothing goes wrong unseen. */
function applyTest(name, options, body) {
	test(name, async () => {
		const applyId = await deferTable();
		const page = await open(browser,
			{ token: writeToken, path: `/#/apply/${applyId}`, ...options });
		try {
			await page.getByRole('heading', { name: applyId }).waitFor();
			await body(page, applyId);
			assert.deepEqual(page.problems, []);
		} finally {
			await page.context().close();
			if (!['completed', 'cancelled'].includes(await stateOf(applyId)))
				await api('POST', '/api/cancel', { apply_id: applyId, environment: 'staging' });
			await until(`${applyId} is over`,
				async () => ['completed', 'cancelled'].includes(await stateOf(applyId)));
		}
	});
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const state = (page, word) => page.locator('#facts .state', { hasText: word });
const answer = (page) => page.locator('#answer');

applyTest('volume, stop, start and cutover by mouse', {}, async (page, applyId) => {
	await page.getByLabel('Volume').selectOption('5');
	await button(page, 'Set the volume').click();
	await answer(page).filter({ hasText: 'Volume 3 becomes 5.' }).waitFor();
	assert.equal((await api('GET', `/api/progress/apply/${applyId}`)).volume, 5);
	await until('the new volume is on the page',
		async () => /Volume\s*5/.test(await page.locator('#facts').innerText()));

	assert.equal(await button(page, 'Start').count(), 0, 'nothing is stopped');
	await button(page, 'Stop').click();
	await state(page, 'Stopped').waitFor();
	assert.equal(await button(page, 'Cut over').count(), 0, 'nothing is ready');
	await button(page, 'Start').click();
	await state(page, 'Waiting for cutover').waitFor();

	await button(page, 'Cut over').click();
	await button(page, 'Do nothing').click();
	assert.equal(await page.locator('#sure').isVisible(), false);
	assert.deepEqual((await api('GET', `/api/progress/apply/${applyId}`)).requested, []);
	await button(page, 'Cut over').click();
	await page.locator('#sure').getByRole('button', { name: 'Cut over' }).click();
	await state(page, 'Completed').waitFor();
	assert.equal(await page.locator('#buttons button').count(), 0);
	assert.equal(await page.getByLabel('Volume').isVisible(), false);
});

applyTest('cancel by keyboard, and the question is accessible', {}, async (page, applyId) => {
	await button(page, 'Cancel').waitFor();
	assert.deepEqual(await seriousFindings(page), []);
	await button(page, 'Cancel').focus();
	await page.keyboard.press('Enter');
	await page.locator('#sure').waitFor();
	assert.deepEqual(await seriousFindings(page), []);
	assert.equal(await page.evaluate(() => document.activeElement.id), 'sure-no',
		'what cannot be taken back is one step away');
	await page.keyboard.press('Escape');
	await page.locator('#sure').waitFor({ state: 'hidden' });
	assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel');
	await page.keyboard.press('Enter');
	await page.keyboard.press('Tab');
	await page.keyboard.press('Enter');
	await state(page, 'Cancelled').waitFor();
	assert.equal(await stateOf(applyId), 'cancelled');
});

for (const [colorScheme, width] of [['light', 360], ['dark', 1440]]) {
	applyTest(`controls are accessible and not too wide: ${colorScheme}, ${width} px`,
		{ colorScheme, viewport: { width, height: 800 } }, async (page) => {
			await button(page, 'Cancel').click();
			assert.deepEqual(await seriousFindings(page), []);
			assert.ok(await page.evaluate(() => document.documentElement.scrollWidth
				<= document.documentElement.clientWidth), 'too wide');
		});
}

applyTest('a token that may only read is offered nothing', { token: readToken },
	async (page, applyId) => {
		await state(page, 'Waiting for cutover').waitFor();
		assert.equal(await page.locator('#controls').isVisible(), false);
		await api('POST', '/api/cutover', { apply_id: applyId, environment: 'staging' });
		await state(page, 'Completed').waitFor();
	});

applyTest('a refusal is shown in the server\'s words', { failedRequests: true },
	async (page, applyId) => {
		await button(page, 'Stop').waitFor();
		await page.route('**/api/stop', (route) => route.fulfill({
			status: 409, json: { error: 'A cancel request is pending.', error_code: 'conflict' },
		}));
		await button(page, 'Stop').click();
		await answer(page).filter({ hasText: 'A cancel request is pending.' }).waitFor();
		await page.unroute('**/api/stop');
		await page.route('**/api/stop', (route) => route.abort());
		await button(page, 'Stop').click();
		await answer(page).filter({ hasText: 'did not answer' }).waitFor();
		assert.equal(await stateOf(applyId), 'waiting_for_cutover');
	});

/* The page with an answer in which the first table and the apply have these fields. */
async function showing(page, fields, more = {}) {
	await page.unroute('**/api/progress/**');
	await page.route('**/api/progress/**', async (route) => {
		const { 'if-none-match': _, ...headers } = route.request().headers();
		const reply = await route.fetch({ headers });
		const body = { ...await reply.json(), ...more };
		body.tables[0] = { ...body.tables[0], percent_complete: undefined, ...fields };
		await route.fulfill({ response: reply, json: body });
	});
}

applyTest('how far a table is, in words', {}, async (page) => {
	const table = page.locator('article').first();
	const bar = table.getByRole('progressbar');
	const says = (text) => table.filter({ hasText: text }).waitFor();

	await showing(page, { status: 'running', progress_detail: 'copying rows', rows_copied: 4200,
		rows_total: 10000, percent_complete: 42, rows_per_second: 1500, eta_seconds: 90,
		pending_keys: 7 });
	await says('42 %, 4,200 of 10,000 rows, 1,500 rows/s, about 2 min left');
	await says('copying rows — 7 changed rows wait');
	assert.equal(await bar.getAttribute('value'), '42');

	await showing(page, { status: 'running', rows_copied: 10001, rows_total: 10000,
		throttled: true, throttle_reason: 'replica lag 130 s > 120 s' });
	await says('Active, 10,001 rows, more than the estimated 10,000');
	await says('Waiting: replica lag 130 s > 120 s');
	assert.equal(await bar.getAttribute('value'), null, 'nobody knows how much is left');
	assert.deepEqual(await seriousFindings(page), []);

	await showing(page, { status: 'checksumming', progress_detail: 'comparing both tables',
		rows_copied: 10001, rows_total: 10001, percent_complete: 99, checksum_rows: 5000 });
	await says('comparing both tables — 5,000 rows compared');
	assert.equal(await bar.getAttribute('value'), '99');

	await showing(page, { status: 'cutting_over', progress_detail: 'cutting over',
		cutover_attempts: 3 }, { requested: ['cutover'] });
	await says('cutting over — cutover attempt 3');
	await page.getByText('Requested, and not done yet: Cut over.').waitFor();
	await page.unroute('**/api/progress/**');
});
