/*
 * slot.c - slot files. See slot.h.
 */
#include "core/scheduler/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/proc.h"

static char *path_of(const char *run_dir, int n)
{
	return mem_printf(NULL, "%s/driver-%d.slot", run_dir, n);
}

int slot_take(const char *run_dir, int n, int *fd, struct sb_err *err)
{
	char *path = path_of(run_dir, n);
	int rc = proc_lock_file(path, fd, err);

	talloc_free(path);
	return rc;
}

/* The last line of a driver that waits. */
#define WAITING	       "waiting\n"
#define TEXT_MAX_BYTES (SLOT_OWNER_MAX + 64 * SLOT_MOST + sizeof(WAITING))

size_t slot_read(int fd, char owner[SLOT_OWNER_MAX + 1],
		 struct slot_claim claims[SLOT_MOST])
{
	char text[TEXT_MAX_BYTES + 1], *at, *end;
	ssize_t got = pread(fd, text, TEXT_MAX_BYTES, 0);
	size_t n = 0;

	if (got <= 0)
		return 0;
	text[got] = '\0';
	end = strchr(text, '\n');
	if (!end || end - text > SLOT_OWNER_MAX)
		return 0;
	*end = '\0';
	memcpy(owner, text, (size_t)(end - text) + 1);
	at = end + 1;
	while (n < SLOT_MOST && *at) {
		claims[n].operation = strtoull(at, &end, 10);
		if (end == at || *end != ' ')
			break;
		claims[n].token = strtoull(end + 1, &end, 10);
		if (*end != '\n')
			break; /* a line cut short was never a claim */
		at = end + 1;
		n++;
	}
	return n;
}

int slot_write(int fd, const char *owner, const struct slot_claim *claims, size_t n,
	       struct sb_err *err)
{
	char text[TEXT_MAX_BYTES + 1];
	size_t len;

	BUG_ON(n > SLOT_MOST || strlen(owner) > SLOT_OWNER_MAX);
	len = (size_t)snprintf(text, sizeof(text), "%s\n", owner);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%" PRIu64 " %" PRIu64 "\n", claims[i].operation,
					claims[i].token);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len)
		return sb_err(err, SB_ESTORAGE, "Cannot write the slot file: %s.",
			      strerror(errno));
	return 0;
}

void slot_clear(int fd)
{
	if (ftruncate(fd, 0) < 0)
		return; /* a stale line names a token that is no longer anybody's */
}

/* The file's text, and where its mark of waiting begins, or would. */
static size_t read_text(int fd, char text[TEXT_MAX_BYTES + 1], size_t *mark)
{
	const size_t n = strlen(WAITING);
	ssize_t got = pread(fd, text, TEXT_MAX_BYTES, 0);
	size_t len = got > 0 ? (size_t)got : 0;

	text[len] = '\0';
	*mark = len > n && strcmp(text + len - n - 1, "\n" WAITING) == 0 ? len - n : len;
	return len;
}

void slot_set_waiting(int fd, bool waiting)
{
	char text[TEXT_MAX_BYTES + 1];
	size_t mark, len = read_text(fd, text, &mark);

	if (len == 0 || waiting == (mark < len))
		return;
	if (waiting ? pwrite(fd, WAITING, strlen(WAITING), (off_t)mark) < 0
		    : ftruncate(fd, (off_t)mark) < 0)
		return; /* it counts as before */
}

bool slot_is_waiting(const char *run_dir, int n)
{
	char *path = path_of(run_dir, n), text[TEXT_MAX_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t mark = 0, len = fd >= 0 ? read_text(fd, text, &mark) : 0;

	if (fd >= 0)
		close(fd);
	talloc_free(path);
	return mark < len;
}

bool slot_exists(const char *run_dir, int n)
{
	char *path = path_of(run_dir, n);
	bool is = access(path, F_OK) == 0;

	talloc_free(path);
	return is;
}
