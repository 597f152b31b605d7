/*
 * host_share — facts about the user's session, for what a profile shares of it.
 */
#ifndef SBX_PLAN_HOST_SHARE_H
#define SBX_PLAN_HOST_SHARE_H

struct arena;
struct host_facts;
struct profile;

/* Look up what [share] asks for, and nothing else; what is not there stays NULL. */
void host_share(struct arena *a, const struct profile *p, struct host_facts *f);

#endif
