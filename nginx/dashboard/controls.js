/*
 * controls.js - what an operator may ask of an apply: buttons, a volume, and a question
 * before what cannot be taken back.
 *
 * Used by app.js, which gives it each answer of GET /api/progress. The server says what
 * engine and state allow (`controls`), what waits (`requested`), and by X-Token-Role
 * whether this token may ask at all; it judges every request anew, and its words are shown.
 *
 * Must never: send a request that nobody clicked, or repeat one by itself.
 */
import { element, page, reconcile, setText, showText } from './dom.js';

/* In this order on the page. `ask` is what has to be confirmed; {} is the apply. */
const CONTROLS = {
	cutover: {
		label: 'Cut over',
		ask: 'The new tables take the place of the old ones as soon as no statement is in the way.',
	},
	start: { label: 'Start' },
	release: { label: 'Release', ask: 'The rollout goes on after the failure.' },
	revert: { label: 'Revert', ask: 'The change is undone, and the tables become what they were.' },
	skip_revert: { label: 'Keep the change', ask: 'It cannot be reverted any more.' },
	stop: { label: 'Stop' },
	cancel: {
		label: 'Cancel',
		ask: 'It ends for ever, and what was copied so far is removed. Tables that are changed already stay changed.',
	},
};
const VOLUMES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

let shown = null; /* the apply whose controls are shown */
let send = null; /* (path, body) -> {ok, body}: app.js has the token */
let confirmed = null; /* what the open question is about */
let touched = false; /* the volume was chosen and is not sent: leave it alone */

function say(text, bad) {
	page('answer').classList.toggle('bad', Boolean(bad));
	showText(page('answer'), text);
}

function lock(locked) {
	for (const node of page('controls').querySelectorAll('button, select'))
		node.disabled = locked;
}

/* What the server answered, in words. */
function told(name, body) {
	const label = name === 'volume' ? 'Volume' : CONTROLS[name].label;

	if (body.status === 'already_requested')
		return `${label}: requested already, and not done yet.`;
	if (body.status !== 'queued')
		return `${label}: nothing is left to do.`;
	return name === 'volume'
		? `Volume ${body.previous_volume} becomes ${body.new_volume}.` : `${label}: requested.`;
}

async function request(name, fields) {
	const apply = shown;

	lock(true);
	try {
		const { ok, body } = await send(`/api/${name.replace('_', '-')}`,
			{ apply_id: apply.apply_id, environment: apply.environment, ...fields });
		if (shown?.apply_id === apply.apply_id)
			say(ok ? told(name, body) : body.error, !ok);
	} catch {
		say('The server did not answer: whether it has taken the request, the state shows soon.',
			true);
	} finally {
		lock(false);
	}
}

function click(name) {
	const { label, ask } = CONTROLS[name];

	if (!ask) {
		request(name);
		return;
	}
	confirmed = { name, apply: shown.apply_id };
	setText(page('sure-title'), `${label}: ${shown.apply_id}`);
	setText(page('sure-text'), ask);
	setText(page('sure-yes'), label);
	page('sure').showModal();
}

function makeButton() {
	const button = element('button');
	button.type = 'button';
	button.addEventListener('click', () => click(button.dataset.key));
	return button;
}

function fillButton(button, name) {
	setText(button, CONTROLS[name].label);
	button.className = name === 'cancel' || name === 'revert' ? 'danger' : '';
}

function inWords(names) {
	return names.map((name) => CONTROLS[name]?.label ?? 'Volume').join(', ');
}

/* Nothing to control, or nobody who may. */
export function hideControls() {
	shown = null;
	touched = false;
	page('controls').hidden = true;
	say('');
	if (page('sure').open)
		page('sure').close();
}

export function showControls(apply, mayWrite) {
	const possible = mayWrite ? apply.controls ?? [] : [];
	const requested = apply.requested ?? [];

	if (shown?.apply_id !== apply.apply_id)
		hideControls();
	shown = apply;
	page('controls').hidden = possible.length + requested.length === 0
		&& page('answer').hidden;
	reconcile(page('buttons'), Object.keys(CONTROLS).filter((name) => possible.includes(name)),
		(name) => name, makeButton, fillButton);
	page('volume-form').hidden = !possible.includes('volume');
	if (!touched)
		page('volume').value = String(apply.volume);
	showText(page('requested'), requested.length > 0
		&& `Requested, and not done yet: ${inWords(requested)}.`);
	/* What it asks may not be possible any more. */
	if (page('sure').open && !possible.includes(confirmed.name))
		page('sure').close();
}

export function startControls(sender) {
	send = sender;
	page('volume').append(...VOLUMES.map((n) => element('option', '', String(n))));
	page('volume').addEventListener('change', () => { touched = true; });
	page('volume-form').addEventListener('submit', async (event) => {
		event.preventDefault();
		await request('volume', { volume: Number(page('volume').value) });
		touched = false;
	});
	page('sure-no').addEventListener('click', () => page('sure').close());
	page('sure-yes').addEventListener('click', () => {
		page('sure').close();
		if (shown?.apply_id === confirmed.apply)
			request(confirmed.name);
	});
}
