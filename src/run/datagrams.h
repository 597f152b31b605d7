/*
 * datagrams — a published UDP port: each peer outside has a socket of its own inside.
 *
 * So the server inside tells its peers apart, and its answers find back; they come from the address that the
 * peer had sent to.  A peer that nothing was heard of, either way, for DATAGRAMS_IDLE_MS is forgotten.  As with any
 * UDP, what there is no room for is lost.
 */
#ifndef SBX_RUN_DATAGRAMS_H
#define SBX_RUN_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>

struct datagrams;
struct dialing;
struct loop;

#define DATAGRAMS_IDLE_MS 120000

/* What all of a process share. */
struct datagrams_common {
	struct loop *loop;
	struct dialing *dialing;
	size_t max_peers;
	size_t n_peers;
	size_t held; /* bytes that wait for a socket inside */
};

/* Takes the bound socket `fd`, O_NONBLOCK; -1 with errno, and it stays the caller's. */
int datagrams_start(struct datagrams_common *common, int fd, uint16_t inside,
		    struct datagrams **ret);
void datagrams_free(struct datagrams *d);

uint32_t datagrams_count(const struct datagrams *d);

/* Forget whom nothing was heard of since `since_ms` (of loop_now_ms). */
void datagrams_expire(struct datagrams *d, uint64_t since_ms);

#endif
