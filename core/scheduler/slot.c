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

#define TEXT_MAX_BYTES (SLOT_OWNER_MAX + 64 * SLOT_MOST)

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
