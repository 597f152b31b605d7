/*
 * init — pid 1 of a sandbox: builds what lies over the root, goes into V, and then forks a
 * shim (run/command.h) for every connection, reaps what is orphaned, and keeps the linger clock.
 */
#ifndef SBX_RUN_INIT_H
#define SBX_RUN_INIT_H

#include "base/err.h"

struct sandbox;

/* What pid 1 and the supervisor say to each other while it starts, over a SOCK_SEQPACKET pair. */
enum init_word {
	INIT_APART = 1, /* pid 1: I have the namespaces that need no root */
	INIT_BEGIN,     /* supervisor: U is mapped */
	INIT_ROOT,      /* supervisor: the root is built, on this ground; the sources follow */
	INIT_IN_V,      /* pid 1: I am in V, map it */
	INIT_MAPPED,    /* supervisor: done */
	INIT_READY,     /* pid 1: I could take requests */
	INIT_GO,        /* supervisor: the network is up and the socket listens: do */
	INIT_FAILED,    /* pid 1: struct err follows */
};

/* With INIT_FAILED comes why. */
struct init_failure {
	enum init_word word;
	struct err err;
};

/* In the child that was made with the new pid namespace.  Does not come back. */
_Noreturn void init_main(const struct sandbox *sb, int supervisor);

#endif
