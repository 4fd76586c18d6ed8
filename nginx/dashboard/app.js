/*
 * app.js - the page: a list of applies (#/) and one apply with its tables (#/apply/ID).
 *
 * Reads the same API as everybody else, every two seconds while the tab is visible; an
 * unchanged answer costs a 304 and touches nothing on the page. The token lives in
 * sessionStorage, so it ends with the tab.
 *
 * Must never: put text from the server into the page other than as text nodes, ask the
 * server to do what nobody clicked, or show old numbers without saying that they are old.
 */
import { hideControls, showControls, startControls } from './controls.js';
import { element, page, reconcile, setText, showText } from './dom.js';
import { lookOf } from './states.js';

const POLL_MS = 2000;
const ANSWER_MS = 10000;
const LIST_LIMIT = 50;
const TOKEN_KEY = 'schemabot.token';

const numbers = new Intl.NumberFormat();
const moments = new Intl.DateTimeFormat(undefined,
	{ dateStyle: 'medium', timeStyle: 'medium' });

let token = sessionStorage.getItem(TOKEN_KEY) ?? '';
let route = null; /* what the address asks for */
let known = {}; /* the last answer: path, etag, body, at */
let seen = new Map(); /* name of a thing -> its state, to announce changes */
let timer = 0;
let request = null; /* the AbortController of the request under way */
let mayWrite = false; /* as the server said of this token */

/* ---- building the page -------------------------------------------------------------- */

function stateNode() {
	const icon = element('span', 'icon');
	icon.setAttribute('aria-hidden', 'true');
	return element('span', 'state', icon, element('span'));
}

function fillState(node, state) {
	const [icon, word, tone] = lookOf(state);
	node.dataset.tone = tone;
	setText(node.children[0], icon);
	setText(node.children[1], word);
}

function fillMoment(node, when) {
	const date = when ? new Date(when) : null;
	const valid = date !== null && !Number.isNaN(date.getTime());
	node.dateTime = valid ? date.toISOString() : '';
	setText(node, valid ? moments.format(date) : '—');
}

function lasting(seconds) {
	if (seconds < 60)
		return `${seconds} s`;
	if (seconds < 3600)
		return `${Math.round(seconds / 60)} min`;
	return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/* Say what changed since the last look, and nothing on the first. */
function announce(states) {
	const news = [];
	for (const [name, state] of states) {
		if (seen.size > 0 && seen.get(name) !== state)
			news.push(`${name}: ${lookOf(state)[1]}`);
	}
	seen = states;
	if (news.length > 0)
		page('live').textContent = news.join('. ');
}

/* ---- the list ----------------------------------------------------------------------- */

function makeRow() {
	const head = element('th', '', element('a'));
	head.scope = 'row';
	return element('tr', '', element('td', '', stateNode()), head, element('td'),
		element('td'), element('td'), element('td', '', element('time')));
}

function fillRow(row, apply) {
	const [state, name, database, environment, caller, started] = row.children;
	const link = name.firstElementChild;

	fillState(state.firstElementChild, apply.state);
	link.href = `#/apply/${encodeURIComponent(apply.apply_id)}`;
	setText(link, apply.apply_id);
	setText(database, apply.database ?? '—');
	setText(environment, apply.environment ?? '—');
	setText(caller, apply.caller || '—');
	fillMoment(started.firstElementChild, apply.started_at);
}

function showList(body) {
	const applies = body.applies ?? [];
	const counts = Object.entries(body.state_counts ?? {}).filter(([, n]) => n > 0)
		.map(([state, n]) => `${numbers.format(n)} ${lookOf(state)[1].toLowerCase()}`);

	setText(page('counts'), counts.join(', '));
	reconcile(page('applies'), applies, (apply) => apply.apply_id, makeRow, fillRow);
	showText(page('list-note'), applies.length === 0
		? 'No apply yet. Plan a change with POST /api/plan, then POST /api/apply.'
		: body.has_more && `Only the first ${applies.length} are shown.`);
	announce(new Map(applies.map((apply) => [
		`${apply.apply_id}, ${apply.database} ${apply.environment}`, apply.state,
	])));
}

/* ---- one apply ---------------------------------------------------------------------- */

function makeTable() {
	const bar = element('progress');
	bar.max = 100;
	return element('article', '',
		element('h3', '', element('span'), ' ', stateNode()),
		element('div', 'line', bar, element('span')),
		element('p', 'detail'),
		element('pre', '', element('code')));
}

/* How many rows of how many: the total is the server's estimate, and may be too low. */
function rowsInWords(table) {
	const copied = numbers.format(table.rows_copied ?? 0);

	if (!(table.rows_total > 0) && table.rows_copied === undefined)
		return '';
	if (!(table.rows_total > 0))
		return `${copied} rows`;
	return table.rows_copied > table.rows_total
		? `${copied} rows, more than the estimated ${numbers.format(table.rows_total)}`
		: `${copied} of ${numbers.format(table.rows_total)} rows`;
}

/* Nobody knows how much is left of what is more than was estimated: it is at work. */
function fillProgress(bar, amount, table) {
	const known = table.percent_complete !== undefined;
	const active = !known && table.rows_copied > table.rows_total;
	const percent = Math.min(100, Math.max(0, Number(table.percent_complete) || 0));

	if (active)
		bar.removeAttribute('value');
	else
		bar.value = percent;
	bar.setAttribute('aria-label', `Progress of ${table.table_name}`);
	setText(amount, [
		active ? 'Active' : `${Math.floor(percent)} %`,
		rowsInWords(table),
		table.rows_per_second > 0 && `${numbers.format(table.rows_per_second)} rows/s`,
		table.eta_seconds > 0 && `about ${lasting(table.eta_seconds)} left`,
		table.is_instant && 'instant',
	].filter(Boolean).join(', '));
}

function fillTable(node, table) {
	const [heading, line, detail, ddl] = node.children;

	setText(heading.children[0], table.table_name ?? '');
	fillState(heading.children[1], table.status);
	fillProgress(line.children[0], line.children[1], table);
	showText(detail, [
		table.progress_detail,
		table.checksum_rows >= 0 && `${numbers.format(table.checksum_rows)} rows compared`,
		table.pending_keys > 0 && `${numbers.format(table.pending_keys)} changed rows wait`,
		table.cutover_attempts > 1 && `cutover attempt ${table.cutover_attempts}`,
		table.throttled && `Waiting: ${table.throttle_reason || 'throttled'}`,
		table.error_message,
	].filter(Boolean).join(' — '));
	setText(ddl.firstElementChild, table.ddl ?? '');
	ddl.hidden = !table.ddl;
	/* Long statements scroll, so the keyboard must be able to reach them. */
	ddl.tabIndex = 0;
	ddl.setAttribute('role', 'region');
	ddl.setAttribute('aria-label', `Statement for ${table.table_name}`);
}

function makeFact() {
	return element('div', '', element('dt'), element('dd'));
}

function fillFact(node, [name, value]) {
	const cell = node.children[1];
	setText(node.children[0], name);
	if (name === 'State') {
		if (!cell.firstElementChild)
			cell.append(stateNode());
		fillState(cell.firstElementChild, value);
	} else if (name === 'Started' || name === 'Finished') {
		if (!cell.firstElementChild)
			cell.append(element('time'));
		fillMoment(cell.firstElementChild, value);
	} else {
		setText(cell, value || '—');
	}
}

function showDetail(body) {
	const tables = body.tables ?? [];

	setText(page('detail-name'), body.apply_id);
	showText(page('detail-error'), body.error_message);
	reconcile(page('facts'), [
		['State', body.state],
		['Database', body.database],
		['Environment', body.environment],
		['Caller', body.caller],
		['Volume', String(body.volume)],
		['Options', Object.entries(body.options ?? {})
			.map(([name, value]) => value === 'true' ? name : `${name} ${value}`).join(', ')],
		['Started', body.started_at],
		['Finished', body.completed_at],
	], ([name]) => name, makeFact, fillFact);
	showControls(body, mayWrite);
	page('tables-note').hidden = tables.length > 0;
	reconcile(page('tables'), tables, (table) => table.task_id, makeTable, fillTable);
	announce(new Map([[body.apply_id, body.state],
		...tables.map((table) => [`Table ${table.table_name}`, table.status])]));
}

/* ---- asking the server ---------------------------------------------------------------- */

const ROUTES = {
	list: { show: showList, title: 'Applies' },
	detail: { show: showDetail, title: 'Apply' },
};

function routeOf(hash) {
	const id = /^#\/apply\/([^/]+)$/.exec(hash)?.[1];
	return id === undefined
		? { name: 'list', path: `/api/status?limit=${LIST_LIMIT}` }
		: { name: 'detail', path: `/api/progress/apply/${id}` };
}

/* Show one of the sections, or none when something else has to be said first. */
function showOnly(id) {
	for (const name of ['sign-in', 'list', 'detail', 'missing'])
		page(name).hidden = name !== id;
	page('sign-out').hidden = token === '';
}

function askForToken(problem) {
	request?.abort();
	request = null;
	hideControls();
	token = '';
	known = {};
	sessionStorage.removeItem(TOKEN_KEY);
	showText(page('stale'), '');
	showText(page('problem'), problem);
	showOnly('sign-in');
	document.title = 'Sign in – SchemaBot';
	page('token').focus();
}

/* An operator's request; what it answers, refusals too. */
async function post(path, fields) {
	const reply = await fetch(path, {
		method: 'POST',
		headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
		body: JSON.stringify({ ...fields, caller: 'dashboard' }),
		signal: AbortSignal.timeout(ANSWER_MS),
		cache: 'no-store',
	});
	const body = await reply.json();
	refresh();
	return { ok: reply.ok, body };
}

/* The server's own explanation, when it gave one. */
async function explanation(reply) {
	try {
		return String((await reply.json()).error);
	} catch {
		return `The server answered ${reply.status}.`;
	}
}

async function ask(signal) {
	const asked = route;
	const headers = { Authorization: `Bearer ${token}` };
	if (known.path === asked.path && known.etag)
		headers['If-None-Match'] = known.etag;

	const reply = await fetch(asked.path, { headers, signal, cache: 'no-store' });
	mayWrite = reply.headers.get('X-Token-Role') === 'write';
	if (reply.status === 401 || reply.status === 403) {
		const problem = await explanation(reply);
		askForToken(`The server did not accept this token: ${problem}`);
	} else if (reply.status === 404 || reply.status === 400) {
		known = {};
		showText(page('missing'), await explanation(reply));
		showOnly('missing');
	} else if (reply.status === 304) {
		known.at = new Date();
	} else if (reply.ok) {
		const body = await reply.json();
		const first = known.path !== asked.path;
		known = { path: asked.path, etag: reply.headers.get('ETag'), body, at: new Date() };
		ROUTES[asked.name].show(body);
		showOnly(asked.name);
		if (first && asked.moved)
			page(asked.name).querySelector('h1').focus();
	} else {
		throw new Error(await explanation(reply));
	}
}

async function refresh() {
	clearTimeout(timer);
	request?.abort();
	if (token === '' || document.hidden)
		return;

	const mine = new AbortController();
	const deadline = setTimeout(() => mine.abort(new Error('No answer in time.')), ANSWER_MS);
	request = mine;
	try {
		await ask(mine.signal);
		showText(page('stale'), '');
	} catch (error) {
		if (request !== mine)
			return; /* replaced by a newer request, whose outcome counts */
		const reason = error instanceof TypeError
			? 'The server cannot be reached.' : error.message;
		showText(page('stale'), known.at
			? `${reason} What you see is from ${moments.format(known.at)}. Trying again.`
			: `${reason} Trying again.`);
	} finally {
		clearTimeout(deadline);
	}
	if (request === mine && token !== '')
		timer = setTimeout(refresh, POLL_MS);
}

function go(moved) {
	route = { ...routeOf(location.hash), moved };
	seen = new Map();
	known = {};
	hideControls();
	showOnly('');
	document.title = `${ROUTES[route.name].title} – SchemaBot`;
	if (token === '')
		askForToken('');
	else
		refresh();
}

startControls(post);
page('sign-in').addEventListener('submit', (event) => {
	event.preventDefault();
	const typed = page('token').value.trim();
	page('token').value = '';
	if (!/^[\x21-\x7e]+$/.test(typed)) {
		askForToken('A token is letters, digits and punctuation, without spaces. Paste it again.');
		return;
	}
	token = typed;
	sessionStorage.setItem(TOKEN_KEY, token);
	go(true);
});
page('sign-out').addEventListener('click', () => askForToken(''));
window.addEventListener('hashchange', () => go(true));
document.addEventListener('visibilitychange', refresh);
go(false);
