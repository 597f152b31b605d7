#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/num.h"
#include "base/str.h"
#include "plan/host_parts.h"

/* Far more than a site with a range for each of 10,000 users has. */
#define SUBID_LIMIT (1U << 20)

/* The same of users and groups. */
#define NAMES_LIMIT (16U << 20)

/* Beyond what a root filesystem can hold is "nobody". */
#define ID_LAST 65533u

/* In memory: of a file fgetpwent(3) asks at each line where it is. */
static FILE *open_stream(struct arena *a, int root, const char *path)
{
	const char *text = host_text(a, root, path, NAMES_LIMIT);

	/* It is only read. */
	return text && *text ? fmemopen((void *)(uintptr_t)text, strlen(text), "r") : NULL;
}

/*
 * The file first: the name service asks up to four daemons and takes longer
 * than all other facts of a warm start, for an answer that nearly always is here.
 */
static const struct passwd *find_user(struct arena *a, int root, uid_t uid)
{
	_cleanup_file_ FILE *f = open_stream(a, root, "etc/passwd");
	_cleanup_file_ FILE *asked = NULL;
	const struct passwd *pw;

	while (f && (pw = fgetpwent(f)) != NULL) {
		/* "+" and "-" lines are orders to the name service: nsswitch.conf(5), compat. */
		if (pw->pw_uid == uid && pw->pw_name[0] != '+' && pw->pw_name[0] != '-')
			return pw;
	}
	asked = names_ask("passwd", uid);
	return asked ? fgetpwent(asked) : NULL;
}

static const struct group *find_group(struct arena *a, int root, gid_t gid)
{
	_cleanup_file_ FILE *f = open_stream(a, root, "etc/group");
	_cleanup_file_ FILE *asked = NULL;
	const struct group *gr;

	while (f && (gr = fgetgrent(f)) != NULL) {
		if (gr->gr_gid == gid && gr->gr_name[0] != '+' && gr->gr_name[0] != '-')
			return gr;
	}
	asked = names_ask("group", gid);
	return asked ? fgetgrent(asked) : NULL;
}

int host_user(struct arena *a, int root, struct host_facts *ret, struct err *err)
{
	const struct passwd *pw = find_user(a, root, getuid());
	const struct group *gr;

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
	gr = find_group(a, root, ret->gid);
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

static struct id_range read_range(struct arena *a, int root, const char *path,
				  const struct host_facts *f)
{
	const char *text = host_text(a, root, path, SUBID_LIMIT);

	if (!text)
		return (struct id_range){0};
	/* subgid(5) too goes by the user's name or uid, not by a group's. */
	return host_longest_range(arena_strdup(a, text), f->user, f->uid);
}

void host_subids(struct arena *a, int root, struct host_facts *ret)
{
	ret->subuid = read_range(a, root, "etc/subuid", ret);
	ret->subgid = read_range(a, root, "etc/subgid", ret);
}

/* With the mode and the group of the file that it stands for. */
static void take_closed(struct arena *a, int root, const char *path, const struct buf *text,
			struct host_closed *ret)
{
	struct stat st;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || (st.st_mode & S_IROTH))
		return;
	*ret = (struct host_closed){
		.text = text->p ? arena_strndup(a, text->p, text->len) : "",
		.mode = st.st_mode & 0777,
		.gid = st.st_gid <= ID_LAST ? st.st_gid : 0,
	};
}

/*
 * su(1) and its kin refuse a user who is in passwd(5) and not in shadow(5), and the host's is closed.
 * "*": no password fits.
 */
void host_accounts(struct arena *a, int root, struct host_facts *ret)
{
	_cleanup_file_ FILE *users = open_stream(a, root, "etc/passwd");
	_cleanup_file_ FILE *groups = open_stream(a, root, "etc/group");
	_cleanup_buf_ struct buf shadow = {0};
	_cleanup_buf_ struct buf gshadow = {0};
	const struct passwd *pw;
	const struct group *gr;

	while (users && (pw = fgetpwent(users)) != NULL)
		if (pw->pw_name[0] != '+' && pw->pw_name[0] != '-')
			buf_printf(&shadow, "%s:*:19000:0:99999:7:::\n", pw->pw_name);
	while (groups && (gr = fgetgrent(groups)) != NULL)
		if (gr->gr_name[0] != '+' && gr->gr_name[0] != '-')
			buf_printf(&gshadow, "%s:*::\n", gr->gr_name);
	take_closed(a, root, "etc/shadow", &shadow, &ret->shadow);
	take_closed(a, root, "etc/gshadow", &gshadow, &ret->gshadow);
}
