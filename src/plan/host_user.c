#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "plan/host_parts.h"

/* Far more than a site with a range for each of 10,000 users has. */
#define SUBID_LIMIT (1U << 20)

int host_user(struct arena *a, struct host_facts *ret, struct err *err)
{
	const struct passwd *pw;
	const struct group *gr;

	errno = 0;
	pw = getpwuid(getuid());
	if (!pw) {
		err_set(err, "cannot tell who you are: user %u has no entry in the password file",
			(unsigned)getuid());
		return err_hint(err, "have the administrator add one (useradd)");
	}
	ret->uid = getuid();
	ret->gid = getgid();
	ret->user = arena_strdup(a, pw->pw_name);
	ret->home = arena_strdup(a, pw->pw_dir);
	ret->shell = arena_strdup(a, pw->pw_shell && pw->pw_shell[0] ? pw->pw_shell : "/bin/sh");
	gr = getgrgid(ret->gid);
	ret->group = gr ? arena_strdup(a, gr->gr_name) : arena_printf(a, "%u", (unsigned)ret->gid);
	return 0;
}

/* One line "name-or-uid:start:count"; count 0 where it is not the user's or makes no sense. */
static struct id_range parse_line(char *line, const char *user, uint32_t uid)
{
	struct id_range none = {0};
	char *start = strchr(line, ':');
	char *count = start ? strchr(start + 1, ':') : NULL;
	uint64_t id;
	uint64_t first;
	uint64_t n;

	if (!count)
		return none;
	*start++ = '\0';
	*count++ = '\0';
	if (strcmp(line, user) != 0 && (num_u64(line, 0, UINT32_MAX, &id, NULL) < 0 || id != uid))
		return none;
	if (num_u64(start, 1, UINT32_MAX - 1, &first, NULL) < 0 ||
	    num_u64(count, 1, UINT32_MAX - first, &n, NULL) < 0)
		return none;
	/* The user's own id is mapped beside it; the kernel refuses an id that is mapped twice. */
	if (uid >= first && uid - first < n)
		return none;
	return (struct id_range){.start = (uint32_t)first, .count = (uint32_t)n};
}

struct id_range host_longest_range(char *text, const char *user, uint32_t uid)
{
	struct id_range best = {0};
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct id_range r = parse_line(str_trim(line), user, uid);

		if (r.count > best.count)
			best = r;
	}
	return best;
}

static struct id_range read_range(int root, const char *path, const struct host_facts *f,
				  uint32_t id)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *text = host_text(a, root, path, SUBID_LIMIT);

	if (!text)
		return (struct id_range){0};
	return host_longest_range(arena_strdup(a, text), f->user, id);
}

void host_subids(int root, struct host_facts *ret)
{
	/* subgid(5) too goes by the user's name or uid, not by a group's. */
	ret->subuid = read_range(root, "etc/subuid", ret, ret->uid);
	ret->subgid = read_range(root, "etc/subgid", ret, ret->uid);
}
