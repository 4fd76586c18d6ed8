/*
 * config_internal.h - what the files of the configuration share; for nobody else.
 *
 * A section is an array of keys; a key says its type, default, bounds and what it means.
 * Loading (config.c), the redacted dump and the commented example (config_print.c) walk
 * the same arrays (config_keys.c), so that none of them can forget a key.
 */
#ifndef SB_BASE_CONFIG_INTERNAL_H
#define SB_BASE_CONFIG_INTERNAL_H

#include "core/base/config.h"

enum key_type {
	KEY_STR,    /* const char * */
	KEY_INT,    /* int */
	KEY_BOOL,   /* bool */
	KEY_SECRET, /* const char *, given as env:NAME or file:PATH */
	KEY_DIGEST, /* const char *, 64 hex digits, literal or as a secret */
	KEY_LEVEL,  /* enum log_level */
	KEY_ROLE,   /* enum config_role */
	KEY_CHOICE, /* const char *, one of `choices` */
	KEY_GROUP,  /* a section inside the same struct, at `offset` of it */
	KEY_OPTION, /* a section that may be left out: a pointer to a struct, or NULL */
	KEY_MAP,  /* named sections: an array of structs whose first member is the name */
	KEY_LIST, /* sections without names: an array of structs */
	KEY_STRMAP, /* named strings: an array of struct config_schema */
	KEY_NAMES,  /* strings: an array of const char * */
	KEY_LEVELS, /* names of `names` = words of `choices`: array of struct config_lint
		     */
};

/* A section with a `fork` has two forms: without that key, and with it. */
enum form {
	FORM_BOTH,
	FORM_WITHOUT,
	FORM_WITH,
};

struct section;
struct key {
	const char *name;
	enum key_type type;
	const char *preset; /* default as text; NULL = required */
	int min, max;	    /* KEY_INT */
	bool or_zero;	    /* KEY_INT: 0 is allowed, too, and turns it off */
	size_t offset;	    /* of the value, or of the array pointer */
	size_t count;	    /* KEY_MAP, KEY_LIST, KEY_STRMAP, KEY_NAMES, KEY_LEVELS: of
			       the size_t beside it */
	const struct section *sub;
	const char *choices; /* KEY_CHOICE, KEY_LEVELS: words with one space between */
	const char *names;   /* KEY_LEVELS: likewise */
	const char *fixed;   /* KEY_LEVELS: names that can only have the last choice */
	const char *why_fixed;
	enum form form; /* in which form of the section the key may stand */
	const char *example, *doc;
	const char *example_with; /* KEY_MAP of forks: name of the second example */
};
struct section {
	const struct key *keys;
	size_t n;
	size_t size;	    /* of one element, for KEY_MAP and KEY_LIST */
	const char *fork;   /* NULL = one form only */
	size_t fork_offset; /* of the count that is 0 in the form without it */
};

extern const struct section config_root;

/* The form that a section of libconfig, or a loaded struct, has. */
static inline bool key_applies(const struct key *key, enum form form)
{
	return key->form == FORM_BOTH || key->form == form;
}

#endif
