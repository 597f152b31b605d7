/*
 * host.json: what was dear to find out.
 *
 * Namespaces are kept for one boot, and only a "yes": who mends a "no" (a sysctl,
 * an AppArmor profile) must not be told the old answer.
 */
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/host_parts.h"
#include "store/record.h"

#define CACHE_FILE "host.json"
#define CACHE_VERSION 3

/*
 * What holds for this boot may not hold for this process: a filter of system calls, no_new_privs
 * or a user namespace around it (a container) take away what was found without them.
 */
static const char *ns_key(struct arena *a, int root, const struct host_facts *f)
{
	struct stat ns = {0};

	(void)fstatat(root, "proc/self/ns/user", &ns, 0);
	return arena_printf(a, "%s %u %llu %d %d", f->boot_id, (unsigned)f->uid,
			    (unsigned long long)ns.st_ino, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
			    prctl(PR_GET_SECCOMP));
}

/* NULL-safe: jansson's getters take NULL and give NULL. */
static bool key_is(const json_t *part, const char *key)
{
	return str_eq(json_string_value(json_object_get(part, "key")), key);
}

void host_cache_load(struct arena *a, int dir_fd, int root, struct host_facts *ret,
		     struct host_cache *ret_has)
{
	json_auto_t *obj = NULL;
	const json_t *ns;

	*ret_has = (struct host_cache){0};
	/* Missing, damaged or of another version: then it is found out again. */
	if (ret->boot_id[0] == '\0' ||
	    record_load(dir_fd, CACHE_FILE, CACHE_VERSION, &obj, NULL) < 0)
		return;
	ns = json_object_get(obj, "namespaces");
	if (key_is(ns, ns_key(a, root, ret))) {
		ret->userns = true;
		ret->overlay_userxattr = json_is_true(json_object_get(ns, "overlay"));
		ret_has->has_ns = true;
	}
}

void host_cache_save(struct arena *a, int dir_fd, int root, const struct host_facts *facts,
		     const struct host_cache *has)
{
	json_auto_t *obj = json_object();

	if (has->has_ns && facts->userns) {
		json_t *ns = json_object();

		json_object_set_new(ns, "key", json_string(ns_key(a, root, facts)));
		json_object_set_new(ns, "overlay", json_boolean(facts->overlay_userxattr));
		json_object_set_new(obj, "namespaces", ns);
	}
	/* A full or read-only disk only makes the next start slower. */
	(void)record_save(dir_fd, CACHE_FILE, CACHE_VERSION, obj, NULL);
}
