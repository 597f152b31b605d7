/*
 * host.json: what was dear to find out.
 *
 * Namespaces are kept for one boot, and only a "yes": who mends a "no" (a sysctl,
 * an AppArmor profile) must not be told the old answer.  The special paths are
 * kept until a package is installed, a file comes or goes in /etc, or the user's groups change.
 */
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "plan/host_parts.h"
#include "store/record.h"

#define CACHE_FILE "host.json"
#define CACHE_VERSION 2
#define MAX_GROUPS 256

/* Their times change with every package: dpkg, rpm (two places), pacman, apk. */
static const char *const watched[] = {
	"var/lib/dpkg/status",
	"var/lib/rpm",
	"usr/lib/sysimage/rpm",
	"var/lib/pacman/local",
	"lib/apk/db/installed",
	"etc",
	"opt",
};

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

static char *base_key(struct arena *a, int root, const struct host_facts *f)
{
	_cleanup_buf_ struct buf key = {0};
	gid_t groups[MAX_GROUPS];
	int n = getgroups(MAX_GROUPS, groups);

	buf_printf(&key, "%s %u %u", f->boot_id, (unsigned)f->uid, (unsigned)f->gid);
	for (int i = 0; i < n; i++)
		buf_printf(&key, ",%u", (unsigned)groups[i]);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		struct stat st;

		if (fstatat(root, watched[i], &st, 0) < 0)
			buf_adds(&key, " -");
		else
			buf_printf(&key, " %lld.%09ld", (long long)st.st_mtim.tv_sec,
				   st.st_mtim.tv_nsec);
	}
	return arena_strndup(a, key.p, key.len);
}

/* NULL-safe: jansson's getters take NULL and give NULL. */
static bool key_is(const json_t *part, const char *key)
{
	return str_eq(json_string_value(json_object_get(part, "key")), key);
}

/*
 * One string a path, since this is read at every start: "d0700 0:0 /var/lib/private",
 * "f0640 0:42 /etc/shadow", with a capital letter where the user can read it; the path
 * percent-encoded.
 */
/* An id and the byte behind it; moves *text past both. */
static bool parse_id(char **text, char end, uint32_t *ret_id)
{
	char *stop = strchr(*text, end);
	uint64_t id;

	if (!stop)
		return false;
	*stop = '\0';
	if (num_u64(*text, 0, UINT32_MAX, &id, NULL) < 0)
		return false;
	*ret_id = (uint32_t)id;
	*text = stop + 1;
	return true;
}

static bool parse_special(char *text, struct host_special *ret)
{
	struct host_special s = {0};

	if (!text || !text[0] || !strchr("dDfF", text[0]))
		return false;
	s.is_dir = text[0] == 'd' || text[0] == 'D';
	s.readable = text[0] == 'D' || text[0] == 'F';
	for (int i = 1; i <= 4; i++) {
		if (text[i] < '0' || text[i] > '7')
			return false;
		s.mode = s.mode * 8 + (uint32_t)(text[i] - '0');
	}
	if (text[5] != ' ')
		return false;
	text += 6;
	if (!parse_id(&text, ':', &s.uid) || !parse_id(&text, ' ', &s.gid) || text[0] != '/')
		return false;
	s.path = text;
	*ret = s;
	return true;
}

static bool load_special(struct arena *a, const json_t *list, struct host_facts *ret)
{
	size_t n = json_array_size(list);
	struct host_special *v;

	if (!json_is_array(list))
		return false;
	v = arena_alloc(a, (n + 1) * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		if (!parse_special(record_text(a, json_array_get(list, i)), &v[i]))
			return false;
	}
	ret->special = v;
	ret->n_special = n;
	return true;
}

static json_t *save_special(const struct host_facts *facts)
{
	static const char letters[2][2] = {{'f', 'F'}, {'d', 'D'}};
	json_t *list = json_array();

	for (size_t i = 0; i < facts->n_special; i++) {
		const struct host_special *u = &facts->special[i];
		_cleanup_buf_ struct buf text = {0};

		buf_printf(&text, "%c%04o %u:%u %s", letters[u->is_dir][u->readable],
			   (unsigned)u->mode, (unsigned)u->uid, (unsigned)u->gid, u->path);
		json_array_append_new(list, record_bytes(text.p));
	}
	return list;
}

void host_cache_load(struct arena *a, int dir_fd, int root, struct host_facts *ret,
		     struct host_cache *ret_has)
{
	json_auto_t *obj = NULL;
	const json_t *ns;
	const json_t *base;

	*ret_has = (struct host_cache){0};
	/* Missing, damaged or of another version: then it is found out again. */
	if (ret->boot_id[0] == '\0' ||
	    record_load(dir_fd, CACHE_FILE, CACHE_VERSION, &obj, NULL) < 0)
		return;
	ns = json_object_get(obj, "namespaces");
	base = json_object_get(obj, "base");
	if (key_is(ns, ns_key(a, root, ret))) {
		ret->userns = true;
		ret->overlay_userxattr = json_is_true(json_object_get(ns, "overlay"));
		ret_has->has_ns = true;
	}
	if (key_is(base, base_key(a, root, ret)))
		ret_has->has_base = load_special(a, json_object_get(base, "special"), ret);
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
	if (has->has_base) {
		json_t *base = json_object();

		json_object_set_new(base, "key", json_string(base_key(a, root, facts)));
		json_object_set_new(base, "special", save_special(facts));
		json_object_set_new(obj, "base", base);
	}
	/* A full or read-only disk only makes the next start slower. */
	(void)record_save(dir_fd, CACHE_FILE, CACHE_VERSION, obj, NULL);
}
