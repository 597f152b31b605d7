/*
 * event — what sbx-registry tells sbx, which prints: one JSON object a line on a descriptor.
 *
 *     {"event": "progress", "done": N, "total": N}   bytes
 *     {"event": "note", "text": …}                   for the user, no failure
 *     {"event": "error", "usage": BOOL, "errnum": N, "message": …, "hint": …}
 *     {"event": "done", "manifest": HEX, "moved": N, "reused": N}
 *
 * Several threads may tell at once.
 */
#ifndef SBX_REGISTRY_EVENT_H
#define SBX_REGISTRY_EVENT_H

#include <pthread.h>
#include <stdint.h>

struct err;

struct events {
	int fd; /* borrowed */
	pthread_mutex_t lock;
	uint64_t done, total; /* bytes */
	uint64_t told_ms;
};

void event_init(struct events *e, int fd);
void event_done(struct events *e); /* the descriptor stays open */

/* So many bytes more (or fewer) are done; told at most ten times a second. */
void event_moved(struct events *e, int64_t bytes);

void event_note(struct events *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void event_error(struct events *e, const struct err *err);

/* The end: the manifest's digest, and how many blobs were moved and how many were there. */
void event_result(struct events *e, const char *manifest, uint64_t moved, uint64_t reused);

#endif
