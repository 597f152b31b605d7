/*
 * guard — the outermost process of a sandbox, in the host's namespaces: maps U for the supervisor,
 * and is there so that of the two either can clean up after the other.
 */
#ifndef SBX_RUN_GUARD_H
#define SBX_RUN_GUARD_H

struct sandbox;

/* In a process of its own, whose parent is gone or going.  Does not come back. */
_Noreturn void guard_main(struct sandbox *sb);

#endif
