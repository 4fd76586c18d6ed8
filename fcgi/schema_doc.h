/*
 * schema_doc.h - the shape of every reply, as data.
 *
 * The OpenAPI document is made from it, a unit test holds what view.c renders to it, and
 * the API tests hold every reply of a running stack to the document.
 */
#ifndef SB_FCGI_SCHEMA_DOC_H
#define SB_FCGI_SCHEMA_DOC_H

#include <stdbool.h>
#include <stddef.h>

enum doc_type {
	DOC_STRING,
	DOC_TIME, /* RFC 3339, UTC */
	DOC_INT,
	DOC_COUNT, /* an integer, or null: not known */
	DOC_BOOL,
	DOC_OBJECT, /* of schema `of` */
	DOC_LIST,   /* of schema `of` */
	DOC_STRINGS,
	DOC_MAP_STRING, /* {name: string} */
	DOC_MAP_INT,
	DOC_MAP, /* {name: schema `of`} */
	DOC_ANY, /* not described further */
};

struct doc_field {
	const char *schema, *key;
	enum doc_type type;
	const char *of;	 /* OBJECT, LIST, MAP */
	bool always;	 /* present in every reply */
	const char *doc; /* for a reader */
};

/* Rows of one schema are consecutive. */
extern const struct doc_field doc_fields[];
extern const size_t n_doc_fields;

#endif
