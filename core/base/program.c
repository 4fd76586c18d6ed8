/*
 * program.c - the first lines of every main(). See program.h.
 */
#include "core/base/program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/proc.h"

#define MAX_OPTIONS 16
#define EXIT_USAGE  64

enum common { OPT_CONFIG = 1000, OPT_DUMP, OPT_VERSION, OPT_HELP };

static void usage(const struct program *p)
{
	printf("%s: %s\n\n", p->name, p->doc);
	printf("  --config FILE       configuration (default: $SCHEMABOT_CONFIG, then\n"
	       "                      " PROGRAM_DEFAULT_CONFIG ")\n"
	       "  --dump-config       print what is in effect, without secrets\n"
	       "  --version\n");
	for (size_t i = 0; i < p->n_options; i++) {
		const struct program_option *o = &p->options[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "",
			 o->argument ? o->argument : "");
		printf("  %-19s %s\n", left, o->doc);
	}
}

static void fill_table(const struct program *p, struct option *table)
{
	static const struct option common[] = {
		{ "config", required_argument, NULL, OPT_CONFIG },
		{ "dump-config", no_argument, NULL, OPT_DUMP },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
	};

	BUG_ON(p->n_options + ARRAY_SIZE(common) >= MAX_OPTIONS);
	memset(table, 0, MAX_OPTIONS * sizeof(*table));
	memcpy(table, common, sizeof(common));
	for (size_t i = 0; i < p->n_options; i++)
		table[ARRAY_SIZE(common) + i] = (struct option){
			.name = p->options[i].name,
			.has_arg =
				p->options[i].argument ? required_argument : no_argument,
			.val = (int)i,
		};
}

int program_fail(const char *event, const struct sb_err *err)
{
	log_err(LOG_ERROR, event, err, "cannot go on");
	return err_exit_code(err->code);
}

int program_start(TALLOC_CTX *ctx, const struct program *p, int argc, char **argv,
		  struct config **config)
{
	const char *path = getenv("SCHEMABOT_CONFIG");
	struct option table[MAX_OPTIONS];
	bool dump = false;
	struct sb_err err;
	int c;

	*config = NULL;
	log_init(p->name, LOG_INFO);
	fill_table(p, table);
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == OPT_CONFIG) {
			path = optarg;
		} else if (c == OPT_DUMP) {
			dump = true;
		} else if (c == OPT_VERSION) {
			printf("%s %s\n", p->name, PROGRAM_VERSION);
			return 0;
		} else if (c == OPT_HELP) {
			usage(p);
			return 0;
		} else if (c >= 0 && (size_t)c < p->n_options) {
			if (p->options[c].flag)
				*p->options[c].flag = true;
			else
				*p->options[c].value = optarg;
		} else {
			return EXIT_USAGE; /* getopt has said why */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: '%s' is not an option; see --help\n", p->name,
			argv[optind]);
		return EXIT_USAGE;
	}
	if (config_load(ctx, path && *path ? path : PROGRAM_DEFAULT_CONFIG, config,
			&err) < 0)
		return program_fail("config.refused", &err);
	log_init(p->name, (*config)->log_level);
	if (dump) {
		config_dump(*config, stdout);
		return 0;
	}
	db_library_init();
	return -1;
}
