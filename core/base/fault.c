/*
 * fault.c - the test build's fault points. See fault.h for the language.
 *
 * SB_FAULT is read on the first passage. Counting is per process; a fault that must
 * fire once over all processes uses SB_FAULT_ONCE.
 */
#include "core/base/fault.h"

#ifdef SB_FAULTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define MAX_RULES 8

struct rule {
	char point[96], action[32], arg[256];
	long nth, seen;
};

static struct rule rules[MAX_RULES];
static size_t n_rules;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* point:action[=arg][@n] */
static void parse_rule(char *text)
{
	struct rule *r = &rules[n_rules];
	char *action = strchr(text, ':');
	char *nth, *arg;

	if (!action || n_rules == MAX_RULES)
		BUG("SB_FAULT: cannot read '%s'", text);
	*action++ = '\0';
	nth = strrchr(action, '@');
	if (nth)
		*nth++ = '\0';
	arg = strchr(action, '=');
	if (arg)
		*arg++ = '\0';
	snprintf(r->point, sizeof(r->point), "%s", text);
	snprintf(r->action, sizeof(r->action), "%s", action);
	snprintf(r->arg, sizeof(r->arg), "%s", arg ? arg : "");
	r->nth = nth ? strtol(nth, NULL, 10) : 1;
	n_rules++;
}

static void parse_all(void)
{
	const char *env = getenv("SB_FAULT");
	char *copy, *save = NULL;

	if (!env || !*env)
		return;
	copy = strdup(env);
	if (!copy)
		BUG("out of memory");
	for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save))
		parse_rule(t);
	free(copy);
}

static void note_passage(const char *point)
{
	const char *path = getenv("SB_FAULT_LOG");
	char line[128];
	int fd, n;

	if (!path)
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%s\n", point);
	if (write(fd, line, (size_t)n) < 0)
		log_warn("fault.log", "cannot write %s", path);
	close(fd);
}

/* True when this process is the first to fire this point. */
static bool first_to_fire(const char *point)
{
	const char *prefix = getenv("SB_FAULT_ONCE");
	char path[512];
	int fd;

	if (!prefix)
		return true;
	snprintf(path, sizeof(path), "%s.%s", prefix, point);
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

static int passage(const char *point)
{
	const struct rule *fire = NULL;

	pthread_once(&once, parse_all);
	note_passage(point);
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < n_rules && !fire; i++)
		if (strcmp(rules[i].point, point) == 0 && ++rules[i].seen == rules[i].nth)
			fire = &rules[i];
	pthread_mutex_unlock(&mutex);
	return fire && first_to_fire(point) ? act(fire) : 0;
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
