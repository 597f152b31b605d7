/*
 * host_git — the user's name and mail address as git has them: ~/.config/git/config and ~/.gitconfig, and what they
 * include (git-config(1), "Includes"; of the conditions `gitdir:` and `gitdir/i:`).  Nothing of the project's own
 * repository counts: it may be a stranger's.
 */
#ifndef SBX_PLAN_HOST_GIT_H
#define SBX_PLAN_HOST_GIT_H

struct arena;
struct host_facts;
struct profile;

/* Sets git_name and git_mail, where there are some that can be shown inside. */
void host_git(struct arena *a, const struct profile *p, struct host_facts *f);

#endif
