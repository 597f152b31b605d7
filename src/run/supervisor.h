/*
 * supervisor — builds the root in U, starts pid 1 and the services, and ends all when one of
 * them ends.
 */
#ifndef SBX_RUN_SUPERVISOR_H
#define SBX_RUN_SUPERVISOR_H

struct sandbox;

/* In the child made with U.  `mapping` reads a byte when that has begun, and when U is mapped.  Does not come back. */
_Noreturn void supervisor_main(const struct sandbox *sb, int mapping);

#endif
