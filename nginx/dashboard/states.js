/*
 * states.js - how each state of core/model/state.def looks: an icon, a word and a tone.
 *
 * Used by app.js; a test compares the names with state.def. The word always stands
 * beside the icon and the colour, so neither has to be seen to be understood.
 */

export const STATES = {
	pending: ['○', 'Pending', 'rest'],
	preparing_branch: ['▶', 'Preparing branch', 'work'],
	applying_branch_changes: ['▶', 'Applying branch changes', 'work'],
	validating_branch: ['▶', 'Validating branch', 'work'],
	creating_deploy_request: ['▶', 'Creating deploy request', 'work'],
	validating_deploy_request: ['▶', 'Validating deploy request', 'work'],
	waiting_for_deploy: ['◆', 'Waiting for deploy', 'gate'],
	running: ['▶', 'Running', 'work'],
	running_degraded: ['▶', 'Running, with a failure', 'gate'],
	resuming: ['▶', 'Resuming', 'work'],
	catching_up: ['▶', 'Catching up', 'work'],
	checksumming: ['▶', 'Checksumming', 'work'],
	post_checksum: ['▶', 'Checksum done', 'work'],
	waiting_for_cutover: ['◆', 'Waiting for cutover', 'gate'],
	recovering: ['↻', 'Recovering', 'gate'],
	cutting_over: ['▶', 'Cutting over', 'work'],
	revert_window: ['◆', 'Revert window', 'gate'],
	skipping_revert: ['▶', 'Skipping revert', 'work'],
	reverting: ['↩', 'Reverting', 'gate'],
	paused: ['◆', 'Paused', 'gate'],
	failed_retryable: ['↻', 'Retrying', 'gate'],
	stopped: ['■', 'Stopped', 'gate'],
	completed: ['✓', 'Completed', 'good'],
	failed: ['✗', 'Failed', 'bad'],
	cancelled: ['⊘', 'Cancelled', 'rest'],
	reverted: ['↩', 'Reverted', 'rest'],
};

/* A state that this page does not know is shown under its own name, never hidden. */
export function lookOf(state) {
	return Object.hasOwn(STATES, state) ? STATES[state] : ['?', String(state), 'gate'];
}
