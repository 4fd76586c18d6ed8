/*
 * dom.js - small helpers to build the page and to update it in place.
 *
 * Used by app.js and controls.js. Text becomes text nodes and nothing else.
 */

export const page = (id) => document.getElementById(id);

export function element(tag, className, ...children) {
	const node = document.createElement(tag);
	if (className)
		node.className = className;
	node.append(...children);
	return node;
}

/* Written only when it differs: a screen reader and a selection are left alone. */
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

export function showText(node, text) {
	setText(node, text ?? '');
	node.hidden = !text;
}

/*
 * Make the children of parent match items, in order, reusing the node that each key had:
 * focus and selection survive a refresh. make() builds a node, fill(node, item) updates.
 */
export function reconcile(parent, items, keyOf, make, fill) {
	const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
	let place = parent.firstElementChild;

	for (const item of items) {
		const key = keyOf(item);
		const node = old.get(key) ?? make();
		old.delete(key);
		node.dataset.key = key;
		fill(node, item);
		if (node === place)
			place = place.nextElementSibling;
		else
			parent.insertBefore(node, place);
	}
	for (const node of old.values())
		node.remove();
}
