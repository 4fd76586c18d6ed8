/*
 * fault.c - the test build's fault points. See fault.h for the language.
 *
 * SB_FAULT is read on the first passage, SB_FAULT_FILE whenever it has become another
 * file. Counting is per process; a fault that must fire once over all processes uses
 * SB_FAULT_ONCE.
 */
#include "core/base/fault.h"

#ifdef SB_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define MAX_RULES 256
#define MAX_FILE  32768
#define EVERY	  (-1) /* rule.nth: at each passage */

struct rule {
	char program[32]; /* "" = any */
	char point[96], action[32], arg[256];
	long nth, seen;
};

/* Guarded by mutex. */
static struct rule rules[MAX_RULES];
static size_t n_rules;
static char log_path[256], once_prefix[256];
static struct stat read_file; /* SB_FAULT_FILE as it was when it was read */
static bool read_env;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* [program/]point:action[=arg][@n] */
static void parse_rule(char *text)
{
	struct rule *r = &rules[n_rules];
	char *action = strchr(text, ':');
	char *program = text, *slash, *nth, *arg;

	if (!action || n_rules == MAX_RULES)
		BUG("SB_FAULT: cannot read '%s'", text);
	*action++ = '\0';
	slash = strchr(text, '/');
	if (slash) {
		*slash = '\0';
		text = slash + 1;
	}
	nth = strrchr(action, '@');
	if (nth)
		*nth++ = '\0';
	arg = strchr(action, '=');
	if (arg)
		*arg++ = '\0';
	*r = (struct rule){ .nth = !nth		 ? 1
				   : *nth == '*' ? EVERY
						 : strtol(nth, NULL, 10) };
	snprintf(r->program, sizeof(r->program), "%s", slash ? program : "");
	snprintf(r->point, sizeof(r->point), "%s", text);
	snprintf(r->action, sizeof(r->action), "%s", action);
	snprintf(r->arg, sizeof(r->arg), "%s", arg ? arg : "");
	n_rules++;
}

/* Rules and settings of a text, which is cut up. */
static void parse_all(char *text)
{
	char *save = NULL;

	for (char *t = strtok_r(text, ",\n", &save); t;
	     t = strtok_r(NULL, ",\n", &save)) {
		if (strncmp(t, "log=", 4) == 0)
			snprintf(log_path, sizeof(log_path), "%s", t + 4);
		else if (strncmp(t, "once=", 5) == 0)
			snprintf(once_prefix, sizeof(once_prefix), "%s", t + 5);
		else
			parse_rule(t);
	}
}

static void parse_env(void)
{
	const char *rule_list = getenv("SB_FAULT"), *log = getenv("SB_FAULT_LOG");
	const char *once = getenv("SB_FAULT_ONCE");
	char *copy;

	snprintf(log_path, sizeof(log_path), "%s", log ? log : "");
	snprintf(once_prefix, sizeof(once_prefix), "%s", once ? once : "");
	n_rules = 0;
	if (!rule_list)
		return;
	copy = strdup(rule_list);
	if (!copy)
		BUG("out of memory");
	parse_all(copy);
	free(copy);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Bring the rules up to date. The mutex being held. */
static void refresh(void)
{
	static char text[MAX_FILE];
	const char *path = getenv("SB_FAULT_FILE");
	struct stat now = { 0 };
	ssize_t n;
	int fd;

	if (!read_env)
		parse_env();
	read_env = true;
	if (!path)
		return;
	if (stat(path, &now) < 0)
		now = (struct stat){ 0 };
	if (same_file(&now, &read_file))
		return;
	read_file = now;
	parse_env();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0 || n == sizeof(text) - 1)
		BUG("SB_FAULT_FILE: cannot read %s", path);
	text[n] = '\0';
	parse_all(text);
}

/* The mutex being held. */
static void note_passage(const char *point)
{
	char line[192];
	int fd, n;

	if (!log_path[0])
		return;
	fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s %d %s\n", program_invocation_short_name,
		     (int)getpid(), point);
	if (write(fd, line, (size_t)n) < 0)
		log_warn("fault.log", "cannot write %s", log_path);
	close(fd);
}

/* True when this process is the first to do this. The mutex being held. */
static bool first_to_fire(const struct rule *r)
{
	char path[512];
	int fd;

	if (!once_prefix[0] || r->nth == EVERY)
		return true;
	snprintf(path, sizeof(path), "%s.%s.%s", once_prefix, r->point, r->action);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void wait_for_file(const char *path)
{
	char at[512];
	int fd;

	snprintf(at, sizeof(at), "%s.at", path);
	fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	while (access(path, F_OK) != 0)
		clock_sleep_ms(5);
}

/* 1 when the caller has to report an error. */
static int act(const struct rule *r)
{
	log_warn("fault.fired", "%s at %s", r->action, r->point);
	if (strcmp(r->action, "crash") == 0)
		raise(SIGKILL);
	else if (strcmp(r->action, "exit") == 0)
		_exit(99);
	else if (strcmp(r->action, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(r->action, "wait") == 0)
		wait_for_file(r->arg);
	else if (strcmp(r->action, "error") == 0 || strcmp(r->action, "drop") == 0)
		return 1;
	else
		BUG("SB_FAULT: no action '%s'", r->action);
	return 0;
}

static bool concerns(const struct rule *r, const char *point)
{
	return strcmp(r->point, point) == 0 &&
	       (!r->program[0] || strcmp(r->program, program_invocation_short_name) == 0);
}

static int passage(const char *point)
{
	struct rule fire = { .nth = 0 };

	pthread_mutex_lock(&mutex);
	refresh();
	note_passage(point);
	for (size_t i = 0; i < n_rules; i++) {
		struct rule *r = &rules[i];

		if (!concerns(r, point))
			continue;
		r->seen++;
		if (fire.nth == 0 && (r->nth == EVERY || r->nth == r->seen) &&
		    first_to_fire(r))
			fire = *r;
	}
	pthread_mutex_unlock(&mutex);
	return fire.nth != 0 ? act(&fire) : 0;
}

void fault_point(const char *point)
{
	(void)passage(point);
}

int fault_error(const char *point, struct sb_err *err)
{
	if (passage(point))
		return sb_err(err, SB_ESTORAGE, "Injected failure at %s.", point);
	return 0;
}

#else
/* A translation unit must declare something. */
extern int fault_not_built;
#endif
