/* A machine in a folder, for the tests of plan/host*. */
#ifndef SBX_TESTS_HOST_WORLD_H
#define SBX_TESTS_HOST_WORLD_H

#include <unistd.h>

#include "plan/host.h"
#include "plan/host_parts.h"
#include "store_world.h"

/* The world's folder as the root of a machine. */
static inline struct host_source made_machine(const struct world *w)
{
	struct host_source src = {.root = -1, .path = "/usr/bin:xbin::/opt/bin"};

	world_mkdir(w, "etc");
	world_mkdir(w, "usr/bin");
	world_mkdir(w, "usr/lib");
	world_mkdir(w, "var/lib");
	world_mkdir(w, "proc/sys/kernel/random");
	world_write(w, "proc/sys/kernel/random/boot_id", "boot-1\n");
	world_write(
		w, "etc/passwd",
		arena_printf(w->a,
			     "+::%u:0:::\nroot:x:7:7::/root:/bin/sh\nmade:x:%u:%u::/home/made:\n",
			     (unsigned)getuid(), (unsigned)getuid(), (unsigned)getgid()));
	world_write(w, "etc/group", arena_printf(w->a, "people:x:%u:\n", (unsigned)getgid()));
	src.root = open(w->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(src.root >= 0);
	return src;
}

static inline struct host_facts probe(const struct world *w, const struct host_source *src,
				      int cache)
{
	struct host_facts f = {0};
	struct err err = {0};

	assert_int_equal(host_probe_at(w->a, src, cache, true, &f, &err), 0);
	return f;
}

#endif
