/*
 * program.h - the first lines of every main(): options, configuration, logging, signals.
 *
 * The common options are --config FILE, --dump-config, --version and --help; a program
 * adds its own as a table.
 */
#ifndef SB_BASE_PROGRAM_H
#define SB_BASE_PROGRAM_H

#include "core/base/config.h"

#define PROGRAM_VERSION	       "0.1"
#define PROGRAM_DEFAULT_CONFIG "/etc/schemabot/schemabot.conf"

struct program_option {
	const char *name;     /* long option, without the dashes */
	const char *argument; /* name of its argument for --help, or NULL for a flag */
	const char *doc;
	bool *flag;	    /* set for a flag */
	const char **value; /* set for an argument */
};

struct program {
	const char *name, *doc;
	const struct program_option *options;
	size_t n_options;
};

/*
 * Parse, load the configuration (into ctx), start logging. Returns -1 to go on, or the
 * exit code with which main() has to end (after --help, --version, --dump-config, or an
 * error, which is then logged). *config is NULL when it was not loaded.
 */
int program_start(TALLOC_CTX *ctx, const struct program *program, int argc, char **argv,
		  struct config **config) MUST_CHECK;

/* Log the error and return its exit code. */
int program_fail(const char *event, const struct sb_err *err);

#endif
