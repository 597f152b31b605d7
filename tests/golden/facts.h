/*
 * facts — host facts and the environment of a plan, from a text of ours.
 *
 * A line is `key value`; `#` begins a comment line.  In values \n, \\ and \xNN stand for the byte.
 * A key set again takes the place of the earlier value; `entry` and `unreadable` add
 * (`entry NAME [TARGET]`, `layer PATH`,
 * `shadow MODE GID TEXT`, `image_env NAME=VALUE`).  The value `none` of a
 * path is NULL, `no` and `yes` are flags.
 */
#ifndef SBX_TESTS_GOLDEN_FACTS_H
#define SBX_TESTS_GOLDEN_FACTS_H

#include "plan/host.h"
#include "plan/plan.h"

struct case_facts {
	struct host_facts facts;
	struct plan_env env;
	struct plan_image image; /* env.image, once one of its keys is set */
};

/* Add what `text` (of the file `name`) says; 0 or -1. */
int facts_read(struct arena *a, const char *name, const char *text, struct case_facts *facts,
	       struct err *err);

#endif
