/*
 * build_check — does the same build give the same layers again?
 */
#ifndef SBX_CLI_BUILD_CHECK_H
#define SBX_CLI_BUILD_CHECK_H

struct build;
struct err;

/* Build once more what was just built, without the cache; a layer that differs is an error that names its step, and what
 * differs in it. */
int build_check(struct build *b, struct err *err);

#endif
