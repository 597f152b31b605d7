/*
 * sbx-registry — what sbx does with registries, in a program of its own: libcurl and all that it
 * brings cannot be linked statically, and need not be near anything else.
 *
 *     sbx-registry pull  REF PLAIN AUTHFILE CERT-DIR PLATFORM
 *     sbx-registry pull-public  (the same: without a login, from elsewhere, for a profile that was not allowed)
 *     sbx-registry push  REF PLAIN AUTHFILE CERT-DIR MANIFEST
 *     sbx-registry check REGISTRY PLAIN - CERT-DIR USER          (the password on standard input)
 *
 * PLAIN is 0 or 1; "" stands for none.  It tells events (event.h) on standard output, and nothing else.  Not for
 * people: it is started by cli/remote.
 */
#include <curl/curl.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "registry/event.h"
#include "registry/transfer.h"
#include "store/env.h"

#define PASSWORD_MAX ((size_t)64 << 10)
#define MEMORY_MAX ((rlim_t)1 << 30)
#define FILES_MAX 256U

enum { ARG_OP = 1, ARG_REF, ARG_PLAIN, ARG_AUTHFILE, ARG_CERT_DIR, ARG_LAST, N_ARGS };

static void limit(int what, rlim_t most)
{
	struct rlimit r = {most, most};
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max != RLIM_INFINITY &&
	    now.rlim_max < most)
		return;
	(void)setrlimit((__rlimit_resource_t)what, &r);
}

/* It listens to strangers: it has no right that it does not need. */
static int drop_rights(struct err *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}, {0}};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
		return err_errno(err, errno, "cannot give up rights");
	/* Nobody waits for it any more once sbx is gone. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, FILES_MAX);
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_DATA, MEMORY_MAX);
#endif
	return 0;
}

static const char *or_null(const char *s)
{
	return s[0] == '\0' ? NULL : s;
}

static int read_password(struct buf *ret, struct err *err)
{
	char block[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read the password");
		buf_add(ret, block, (size_t)n);
		if (ret->len > PASSWORD_MAX)
			return err_set(err, "the password is too long");
	}
	buf_adds(ret, "");
	return 0;
}

static int check(const struct transfer *t, char **argv, struct err *err)
{
	_cleanup_buf_ struct buf password = {0};
	struct auth auth = {.user = argv[ARG_LAST]};
	bool asked = false;

	if (read_password(&password, err) < 0)
		return -1;
	auth.password = password.p;
	if (transfer_check(t, argv[ARG_REF], &auth, &asked, err) < 0)
		return -1;
	if (!asked)
		event_note(t->events, "'%s' lets everybody in: it did not look at the password",
			   argv[ARG_REF]);
	event_result(t->events, "", 0, 0);
	return 0;
}

static int transfer(struct arena *a, struct transfer *t, char **argv, struct err *err)
{
	struct store store = {.fd = -1};
	int r;

	if (image_ref_parse(a, argv[ARG_REF], &t->ref, err) < 0)
		return err_prefix(err, "'%s'", argv[ARG_REF]);
	if (store_open(a, &store, err) < 0)
		return -1;
	t->store = &store;
	t->anonymous = str_eq(argv[ARG_OP], "pull-public");
	if (t->anonymous || str_eq(argv[ARG_OP], "pull")) {
		t->platform = or_null(argv[ARG_LAST]);
		r = transfer_pull(t, err);
	} else {
		t->manifest = argv[ARG_LAST];
		r = transfer_push(t, err);
	}
	t->store = NULL;
	store_done(&store);
	return r;
}

static bool is_op(const char *s)
{
	return str_eq(s, "pull") || str_eq(s, "pull-public") || str_eq(s, "push") ||
	       str_eq(s, "check");
}

static int run(struct events *events, int argc, char **argv, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct transfer t = {.events = events};

	if (argc != N_ARGS || !is_op(argv[ARG_OP]))
		return err_kind(err, ERR_USAGE,
				"sbx-registry is not for people: sbx pull, sbx "
				"push and sbx login start it");
	if (drop_rights(err) < 0)
		return -1;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, "cannot set libcurl up");
	t.plain_http = str_eq(argv[ARG_PLAIN], "1");
	t.authfile = or_null(argv[ARG_AUTHFILE]);
	t.cert_dir = or_null(argv[ARG_CERT_DIR]);
	if (str_eq(argv[ARG_OP], "check"))
		return check(&t, argv, err);
	return transfer(a, &t, argv, err);
}

int main(int argc, char **argv)
{
	struct err err = {0};
	struct events events;
	int r;

	event_init(&events, STDOUT_FILENO);
	r = run(&events, argc, argv, &err);
	if (r < 0)
		event_error(&events, &err);
	event_done(&events);
	return r < 0 ? 1 : 0;
}
