/*
 * init — pid 1 of a sandbox: builds what lies over the root, goes into V, and then forks a
 * shim (run/command.h) for every connection, reaps what is orphaned, and keeps the linger clock.
 */
#ifndef SBX_RUN_INIT_H
#define SBX_RUN_INIT_H

struct sandbox;

/* What pid 1 and the supervisor say to each other while it starts, over a SOCK_SEQPACKET pair. */
enum init_word {
	INIT_IN_V = 1, /* pid 1: I am in V, map it */
	INIT_MAPPED,   /* supervisor: done */
	INIT_READY,    /* pid 1: I could take requests */
	INIT_GO,       /* supervisor: the network is up and the socket listens: do */
	INIT_FAILED,   /* pid 1: struct err follows */
};

/* In the child made with the new namespaces.  Does not come back. */
_Noreturn void init_main(const struct sandbox *sb, int supervisor);

#endif
