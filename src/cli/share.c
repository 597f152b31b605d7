#include "cli/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "conf/profile.h"

/* In the environment's folder; xauth(1) makes locks beside it. */
#define COOKIE_FILE "xauthority"
#define COOKIE_MAX 65536

static int no_cookie(struct err *err)
{
	(void)err_prefix(err, "cannot get a cookie of its own for the X11 display");
	return err_hint(err, "the X server must have the SECURITY extension, and xauth must be "
			     "installed; or put `x11 = no` under [share]");
}

/* xauth generate asks the server for a cookie that lives as long as somebody uses it. */
static int generate(struct arena *a, const char *file, struct err *err)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *program = NULL;
	struct proc_child child;

	if (!path || proc_find("xauth", path, &program) < 0)
		return err_set(err, "there is no xauth");

	const char *const argv[] = {program,    "-q",
				    "-f",       arena_strdup(a, file),
				    "generate", getenv("DISPLAY"),
				    ".",        "untrusted",
				    "timeout",  "0",
				    NULL};

	return proc_spawn(argv, &child, err) < 0 ? -1 : proc_finish(&child, err);
}

/*
 * An entry (Xau(3)) is a family and four counted strings: address, display, name, cookie.  The address is this
 * machine's name, which the sandbox does not have: so it is for any, of no name.  False: it is none.
 */
static bool make_wild(const struct buf *from, struct buf *ret)
{
	static const unsigned char wild[] = {0xff, 0xff, 0, 0};
	const unsigned char *p = (const unsigned char *)from->p;
	size_t at = 0;

	while (at + 2 < from->len) {
		size_t rest = 0;

		at += 2;
		for (int i = 0; i < 4; i++) {
			if (at + 2 > from->len)
				return false;
			at += 2 + ((size_t)p[at] << 8 | p[at + 1]);
			if (at > from->len)
				return false;
			if (i == 0)
				rest = at;
		}
		buf_add(ret, wild, sizeof(wild));
		buf_add(ret, from->p + rest, at - rest);
	}
	return ret->len > 0 && at == from->len;
}

/* Into the home, by its descriptor: what runs inside may have shaped what is in there. */
static int put_into_home(const struct workplace *w, const struct buf *cookie, struct err *err)
{
	_cleanup_fd_ int home = -1;

	if (fs_open_beneath(w->env.fd, "home", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &home, err) <
	    0)
		return -1;
	return fs_write_atomic(home, ".Xauthority", cookie->p, cookie->len, 0600, err);
}

int share_prepare(struct arena *a, const struct workplace *w, struct err *err)
{
	const char *file = path_join(a, w->env.dir, COOKIE_FILE);
	_cleanup_buf_ struct buf cookie = {0};
	_cleanup_buf_ struct buf wild = {0};
	int r;

	if (!w->profile->share.x11.on)
		return 0;
	(void)unlinkat(w->env.fd, COOKIE_FILE, 0);
	r = generate(a, file, err);
	if (r == 0)
		r = fs_read_at(w->env.fd, COOKIE_FILE, COOKIE_MAX, &cookie, err);
	(void)unlinkat(w->env.fd, COOKIE_FILE, 0);
	if (r == 0 && !make_wild(&cookie, &wild))
		r = err_set(err, "the X server gave none");
	if (r < 0)
		return no_cookie(err);
	return put_into_home(w, &wild, err);
}
