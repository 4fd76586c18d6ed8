/*
 * volume.h - how hard a copy works, by the volume that its operator has set (1 to 11).
 *
 * Source: SEMANTICS F.2 for the threads; chunks are shorter, so that a stop or a flush
 * never waits long for one. The gentle ones' are so short that what a chunk writes to the
 * binlog with its commit, which every other commit waits for, is 2 to 4 MB. (Chunks of
 * 2,000 rows cost a server no more work than those of 50,000.)
 */
#ifndef SB_ENGINES_MYSQL_COPY_VOLUME_H
#define SB_ENGINES_MYSQL_COPY_VOLUME_H

#include <stdint.h>

struct volume {
	unsigned threads;
	int64_t chunk_ms;
};

static inline struct volume volume_of(int n)
{
	static const struct volume volumes[] = {
		{ 1, 50 },    { 1, 100 },   { 2, 100 },	  { 4, 500 },
		{ 8, 500 },   { 8, 1000 },  { 8, 1000 },  { 12, 1000 },
		{ 12, 1000 }, { 16, 1000 }, { 16, 1500 },
	};

	return volumes[(n < 1 ? 1 : n > 11 ? 11 : n) - 1];
}

#endif
