/*
 * pressure.c - see pressure.h.
 */
#include "engines/mysql/copy/pressure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

static const struct {
	const char *text, *unit;
	unsigned works;
	bool blind;
} signals[] = {
#define X(name, text, unit, works, blind) { text, unit, works, blind },
	PRESSURES(X)
#undef X
};

struct pressure *pressure_new(TALLOC_CTX *ctx, const struct throttle_limits *limits,
			      int64_t now_ms)
{
	const int limit[] = {
		[PRESSURE_THREADS] = limits->max_threads_running,
		[PRESSURE_HISTORY] = limits->max_history_list,
		[PRESSURE_CHECKPOINT] = limits->max_checkpoint_age_percent,
		[PRESSURE_LAG] = limits->max_replica_lag_seconds,
	};
	struct pressure *p = mem_new(ctx, struct pressure);

	p->blind_ms = PRESSURE_BLIND_MS;
	p->n = PRESSURE_LAG + limits->n_replicas;
	p->gauges = mem_array(p, struct pressure_gauge, p->n);
	for (size_t i = 0; i < p->n; i++) {
		bool lag = i >= PRESSURE_LAG;

		p->gauges[i] = (struct pressure_gauge){
			.signal = lag ? PRESSURE_LAG : (enum pressure_signal)i,
			.of = lag ? limits->replicas[i - PRESSURE_LAG].name : NULL,
			.limit = limit[lag ? PRESSURE_LAG : i],
			.seen_ms = now_ms,
			.value = -1,
		};
	}
	return p;
}

struct pressure_gauge *pressure_of(struct pressure *p, enum pressure_signal signal,
				   size_t replica)
{
	struct pressure_gauge *g = &p->gauges[signal];

	if (signal == PRESSURE_LAG)
		g += replica;
	return g->limit > 0 ? g : NULL;
}

/* ---- one signal -----------------------------------------------------------------------
 */

/* From here on it is well below. */
static int64_t easy(const struct pressure_gauge *g)
{
	return g->limit - (g->limit >= 10 ? g->limit / 10 : 1);
}

void pressure_look(struct pressure_gauge *g, int64_t value, int64_t now_ms)
{
	if (value < 0)
		return;
	g->value = value;
	g->seen_ms = now_ms;
	if (value > g->limit) {
		g->over = true;
		g->excess = value;
	}
	g->calm = value <= easy(g) ? g->calm + 1 : 0;
	if (g->calm >= PRESSURE_CALM_LOOKS)
		g->over = false;
}

static bool is_blind(const struct pressure *p, const struct pressure_gauge *g,
		     int64_t now_ms)
{
	return g->limit > 0 && signals[g->signal].blind &&
	       now_ms - g->seen_ms >= p->blind_ms;
}

static void tell(const struct pressure *p, const struct pressure_gauge *g, int64_t now_ms,
		 struct buf *b)
{
	const char *unit = signals[g->signal].unit;

	buf_printf(b, "%s%s%s%s ", b->len > 0 ? "; " : "", signals[g->signal].text,
		   g->of ? " of " : "", g->of ? g->of : "");
	if (is_blind(p, g, now_ms))
		buf_printf(b, "unknown for %" PRId64 "s >= %" PRId64 "s",
			   (now_ms - g->seen_ms) / 1000, p->blind_ms / 1000);
	else if (g->value > easy(g) && g->value <= g->limit)
		buf_printf(b, "%" PRId64 "%s > %" PRId64 "%s", g->value, unit, easy(g),
			   unit);
	else /* well below, but not for long: what it was waits for */
		buf_printf(b, "%" PRId64 "%s > %d%s", g->excess, unit, g->limit, unit);
}

/* ---- all of them ----------------------------------------------------------------------
 */

bool pressure_reason(const struct pressure *p, enum pressure_work work, int64_t now_ms,
		     char out[PRESSURE_TEXT])
{
	TALLOC_CTX *mem = mem_ctx(NULL, "reason");
	struct buf b;
	bool any;

	buf_init(&b, mem);
	for (size_t i = 0; i < p->n; i++) {
		const struct pressure_gauge *g = &p->gauges[i];

		if ((signals[g->signal].works & (unsigned)work) &&
		    (g->over || is_blind(p, g, now_ms)))
			tell(p, g, now_ms, &b);
	}
	any = b.len > 0;
	snprintf(out, PRESSURE_TEXT, "%s", any ? b.data : "");
	talloc_free(mem);
	return any;
}

bool pressure_lags(const struct pressure *p, int64_t now_ms)
{
	for (size_t i = PRESSURE_LAG; i < p->n; i++)
		if (p->gauges[i].over || is_blind(p, &p->gauges[i], now_ms))
			return true;
	return false;
}

/* ---- what servers print ---------------------------------------------------------------
 */

int64_t pressure_status_number(const char *text, const char *label)
{
	size_t n = strlen(label);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, label, n) == 0) {
			const char *digits = line + n + strspn(line + n, " ");

			return *digits >= '0' && *digits <= '9'
				       ? strtoll(digits, NULL, 10)
				       : -1;
		}
	}
	return -1;
}

int64_t pressure_lag(const struct db_rows *status)
{
	int64_t worst = -1;

	for (size_t c = 0; c < status->width; c++) {
		if (strcmp(status->name[c], "Seconds_Behind_Source") != 0 &&
		    strcmp(status->name[c], "Seconds_Behind_Master") != 0)
			continue;
		for (size_t r = 0; r < status->n; r++) {
			int64_t lag;

			if (!status->cell[r][c])
				return -1;
			lag = strtoll(status->cell[r][c], NULL, 10);
			worst = lag > worst ? lag : worst;
		}
	}
	return worst;
}
