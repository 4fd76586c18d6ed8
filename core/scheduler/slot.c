/*
 * slot.c - slot files. See slot.h.
 */
#include "core/scheduler/slot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/proc.h"

int slot_take(const char *run_dir, int n, int *fd, struct sb_err *err)
{
	char *path = mem_printf(NULL, "%s/driver-%d.slot", run_dir, n);
	int rc = proc_lock_file(path, fd, err);

	talloc_free(path);
	return rc;
}

int slot_read(int fd, uint64_t *operation, uint64_t *token)
{
	char text[64], *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	*operation = strtoull(text, &end, 10);
	if (*end != ' ')
		return 0;
	*token = strtoull(end + 1, &end, 10);
	return *end == '\n'; /* a line cut short was never a claim */
}

int slot_write(int fd, uint64_t operation, uint64_t token, struct sb_err *err)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", operation,
			 token);

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return sb_err(err, SB_ESTORAGE, "Cannot write the slot file: %s.",
			      strerror(errno));
	return 0;
}

void slot_clear(int fd)
{
	if (ftruncate(fd, 0) < 0)
		return; /* a stale line names a token that is no longer anybody's */
}
