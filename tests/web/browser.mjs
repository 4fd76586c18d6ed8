/*
 * browser.mjs - what the browser tests share: the stack's address, an API client, one
 * Chromium, and pages that remember everything that went wrong in them.
 *
 * The stack is somebody else's: SB_URL, SB_TOKEN and SB_READ_TOKEN come from the env
 * file that `tests/stack start DIR` writes. SB_CHROMIUM names another browser binary.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8');

function needed(name) {
	if (!process.env[name])
		throw new Error(`${name} is not set: source the env file of a running tests/stack first.`);
	return process.env[name];
}

export const url = needed('SB_URL').replace(/\/$/, '');
export const writeToken = needed('SB_TOKEN');
export const readToken = needed('SB_READ_TOKEN');

export async function api(method, path, body) {
	const reply = await fetch(url + path, {
		method,
		headers: { Authorization: `Bearer ${writeToken}`, 'Content-Type': 'application/json' },
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	const text = await reply.text();
	if (!reply.ok)
		throw new Error(`${method} ${path}: ${reply.status} ${text}`);
	return JSON.parse(text);
}

/* Wait for a condition, never for a time. */
export async function until(what, condition, seconds = 60) {
	const deadline = Date.now() + seconds * 1000;
	for (;;) {
		const value = await condition();
		if (value)
			return value;
		if (Date.now() > deadline)
			throw new Error(`not within ${seconds} s: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}

/* The names of our tables are unique to this run: the stack may have served another one. */
const run = Date.now().toString(36);
const files = {};

/* Plan and apply one new table, and answer once the apply is settled, unless told otherwise. */
export async function applyTable({ comment = '', settled = true } = {}) {
	const table = `web_${run}_${Object.keys(files).length}`;
	files[`${table}.sql`] = `CREATE TABLE \`${table}\` (\`id\` int NOT NULL, PRIMARY KEY (\`id\`))`
		+ ` COMMENT='${comment}'`;
	const plan = await api('POST', '/api/plan', {
		database: 'shop', environment: 'staging', type: 'mysql',
		schema_files: { shop: { files } },
	});
	const { apply_id: applyId } = await api('POST', '/api/apply', {
		plan_id: plan.plan_id, environment: 'staging', caller: 'web-test',
		/* A table left by somebody else is not in this plan, which drops it. */
		options: { allow_unsafe: 'true' },
	});
	if (settled) {
		await until(`${applyId} completed`, async () => {
			const progress = await api('GET', `/api/progress/apply/${applyId}`);
			if (['failed', 'cancelled'].includes(progress.state))
				throw new Error(`${applyId} is ${progress.state}: ${progress.error_message}`);
			return progress.state === 'completed';
		});
	}
	return { applyId, table };
}

export const stateOf = async (applyId) =>
	(await api('GET', `/api/progress/apply/${applyId}`)).state;

/* An apply on the scripted engine that waits for its cutover, with its identifier. */
export async function deferTable() {
	const name = `web_${run}_deferred`;
	const deferred = {};

	deferred[`${name}.sql`] = `CREATE TABLE \`${name}\` (\`id\` int NOT NULL,`
		+ ` \`n${Date.now()}\` int DEFAULT NULL, PRIMARY KEY (\`id\`))`;
	const plan = await api('POST', '/api/plan', {
		database: 'resident', environment: 'staging', type: 'fake_resident',
		schema_files: { resident: { files: deferred } },
	});
	const { apply_id: applyId } = await api('POST', '/api/apply', {
		plan_id: plan.plan_id, environment: 'staging', caller: 'web-test',
		options: { allow_unsafe: 'true', defer_cutover: 'true' },
	});
	await until(`${applyId} waits`, async () => await stateOf(applyId) === 'waiting_for_cutover');
	return applyId;
}

export function launch() {
	return chromium.launch({
		executablePath: process.env.SB_CHROMIUM ?? '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
	});
}

/*
 * Open a page in a fresh context. page.problems collects console errors, exceptions and
 * CSP violations. Chromium reports every failed request as a console error too; a test
 * that provokes one says so with { failedRequests: true }.
 */
export async function open(browser, options = {}) {
	const { path = '/', token, failedRequests = false, ...look } = options;
	const context = await browser.newContext({ locale: 'en-GB', ...look });
	const page = await context.newPage();
	page.problems = [];
	page.on('pageerror', (error) => page.problems.push(`exception: ${error.message}`));
	page.on('console', (message) => {
		const text = message.text();
		if (message.type() === 'error'
			&& !(failedRequests && text.startsWith('Failed to load resource')))
			page.problems.push(`console: ${text}`);
	});
	await page.exposeFunction('reportViolation', (text) => page.problems.push(`CSP: ${text}`));
	await page.addInitScript(() => document.addEventListener('securitypolicyviolation',
		(event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`)));
	if (token) {
		await page.addInitScript((value) => sessionStorage.setItem('schemabot.token', value),
			token);
	}
	await page.goto(url + path);
	return page;
}

/* The serious and critical findings of axe, one line each. */
export async function seriousFindings(page) {
	await page.evaluate(axeSource);
	const { violations } = await page.evaluate(() => window.axe.run());
	return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
		.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
}
