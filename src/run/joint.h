/*
 * joint — two connected stream sockets, of TCP or Unix, made to look like one connection.
 *
 * What comes in at one end goes out at the other by splice(2): its bytes are never copied to this
 * process.  An end of file is passed on as such (half-close), a reset as a reset; who reads slowly slows
 * its peer down, for nothing is taken that cannot go on.  SIGPIPE has to be ignored.
 */
#ifndef SBX_RUN_JOINT_H
#define SBX_RUN_JOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct joint;
struct tube;

/* All of a process. */
struct joints {
	struct loop *loop;
	struct joint *all;
	struct joint *ready, **ready_end; /* those that something can be done for, in turn */
	size_t n;
	struct tube *tubes; /* pipes that are not in use */
	size_t n_tubes;     /* all there are */
	size_t max_tubes;
};

void joints_init(struct joints *r, struct loop *loop);
void joints_done(struct joints *r);

/* Take both sockets, O_NONBLOCK, whatever happens; `inner` may still be connecting.  `tag`: for joints_count. */
void joints_start(struct joints *r, int outer, int inner, uint32_t tag);

/* Behind each turn of the loop: move what can be moved.  True: there is more, do not wait. */
bool joints_work(struct joints *r);

/* How many of this tag there are. */
uint32_t joints_count(const struct joints *r, uint32_t tag);

/* Close a socket so that its peer sees a reset, if it is of TCP. */
void joint_reset(int fd);

#endif
