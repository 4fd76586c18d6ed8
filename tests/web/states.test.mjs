/*
 * states.test.mjs - the page has a look for every state there is, and for no other.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const script = read('nginx/dashboard/states.js');
const { STATES, lookOf } = await import(`data:text/javascript,${encodeURIComponent(script)}`);

test('every state of state.def has a look, under the same label', () => {
	const states = [...read('core/model/state.def')
		.matchAll(/^STATE\(\w+,\s*"(\w+)",[^"]*"([^"]+)"\)/gm)];
	assert.ok(states.length >= 26, `read only ${states.length} states from state.def`);
	assert.deepEqual(Object.keys(STATES).sort(), states.map(([, name]) => name).sort());
	for (const [, name, label] of states)
		assert.equal(STATES[name][1], label);
});

test('icons, words and tones are never empty, and no two states share a word', () => {
	for (const [name, look] of Object.entries(STATES)) {
		assert.equal(look.length, 3, name);
		assert.ok(look.every((part) => part.length > 0), name);
		assert.ok(['work', 'good', 'gate', 'bad', 'rest'].includes(look[2]), name);
	}
	assert.equal(new Set(Object.values(STATES).map(([, word]) => word)).size,
		Object.keys(STATES).length);
});

test('a state of a newer server is shown under its own name', () => {
	assert.deepEqual(lookOf('dreaming'), ['?', 'dreaming', 'gate']);
	assert.deepEqual(lookOf('toString'), ['?', 'toString', 'gate']);
});
