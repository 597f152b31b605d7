#include "cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/beside.h"
#include "cli/progress.h"
#include "conf/image.h"
#include "store/form.h"
#include "store/image.h"

#define PROGRAM "sbx-registry"

extern char **environ;

/* What it told. */
struct told {
	struct progress progress;
	struct remote_result result;
	bool done;
	struct err err; /* of kind ERR_NONE: it told of none */
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static uint64_t number_of(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void take_event(struct told *t, const char *line)
{
	json_auto_t *o = json_loads(line, 0, NULL);
	const char *event = text_of(o, "event");

	if (str_eq(event, "progress")) {
		progress_tell(&t->progress, number_of(o, "done"), number_of(o, "total"));
	} else if (str_eq(event, "note")) {
		progress_end(&t->progress);
		log_info("%s", text_of(o, "text"));
	} else if (str_eq(event, "error")) {
		(void)err_kind(&t->err,
			       json_is_true(json_object_get(o, "usage")) ? ERR_USAGE : ERR_FAILED,
			       "%s", text_of(o, "message"));
		t->err.errnum = (int)number_of(o, "errnum");
		if (text_of(o, "hint")[0] != '\0')
			(void)err_hint(&t->err, "%s", text_of(o, "hint"));
	} else if (str_eq(event, "done")) {
		(void)snprintf(t->result.manifest, sizeof(t->result.manifest), "%s",
			       text_of(o, "manifest"));
		t->result.moved = number_of(o, "moved");
		t->result.reused = number_of(o, "reused");
		t->done = true;
	}
}

/* All lines up to its end. */
static void listen_to(int fd, struct told *t)
{
	_cleanup_buf_ struct buf b = {0};
	char block[8192];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) != 0) {
		char *line, *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		buf_add(&b, block, (size_t)n);
		for (line = b.p; (end = memchr(line, '\n', b.len - (size_t)(line - b.p))) != NULL;
		     line = end + 1) {
			*end = '\0';
			take_event(t, line);
		}
		b.len -= (size_t)(line - b.p);
		memmove(b.p, line, b.len + 1);
	}
}

static int spawn(const char *const *argv, int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return r;
	r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawn(ret, argv[0], &files, NULL, (char *const *)(uintptr_t)argv,
				environ);
	(void)posix_spawn_file_actions_destroy(&files);
	return r;
}

/* `input` is little enough for a pipe to hold. */
static int start(const char *const *argv, const char *input, pid_t *ret_pid, int *ret_fd,
		 struct err *err)
{
	int in[2] = {-1, -1};
	int out[2] = {-1, -1};
	int r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	r = pipe2(out, O_CLOEXEC) < 0 ? errno : 0;
	if (!r && fs_write_all(in[1], input, strlen(input)) < 0)
		r = errno;
	cleanup_fd(&in[1]);
	if (!r)
		r = spawn(argv, in[0], out[1], ret_pid);
	cleanup_fd(&in[0]);
	cleanup_fd(&out[1]);
	if (r) {
		cleanup_fd(&out[0]);
		return err_errno(err, r, "cannot run '%s'", argv[0]);
	}
	*ret_fd = out[0];
	return 0;
}

static int judge(const struct told *t, int status, struct err *err)
{
	if (t->err.kind != ERR_NONE) {
		*err = t->err;
		return -1;
	}
	if (t->done && status == 0)
		return 0;
	return err_set(err, "'%s' ended with status %d, and did not say why", PROGRAM, status);
}

/* Run it, and hear it to its end. */
static int converse(const char *const *argv, const char *input, const char *what,
		    struct remote_result *ret, struct err *err)
{
	struct told t = {0};
	_cleanup_fd_ int fd = -1;
	pid_t pid = -1;
	int status = 0;

	if (start(argv, input, &pid, &fd, err) < 0)
		return -1;
	progress_begin(&t.progress, what);
	listen_to(fd, &t);
	progress_end(&t.progress);
	if (proc_wait(pid, &status, err) < 0 || judge(&t, proc_exit_status(status), err) < 0)
		return -1;
	if (ret)
		*ret = t.result;
	return 0;
}

static int program(struct arena *a, const char **ret, struct err *err)
{
	*ret = beside_find(a, "registry", PROGRAM);
	if (*ret)
		return 0;
	err_set(err, "this sbx was built without registries: there is no '%s' beside it", PROGRAM);
	return err_hint(err,
			"install libcurl's headers (libcurl4-openssl-dev) and build sbx again; "
			"sbx load reads what 'skopeo copy' or 'podman save' fetched");
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* What is asked of it: sbx-registry's arguments (registry/main.c). */
struct request {
	const char *op, *ref, *last;
	const char *input; /* on its standard input */
	const char *what;  /* for the progress line */
};

static int call(struct arena *a, const struct request *r, const struct remote_options *how,
		struct remote_result *ret, struct err *err)
{
	const char *argv[] = {NULL,
			      r->op,
			      r->ref,
			      how->plain_http ? "1" : "0",
			      or_empty(how->authfile),
			      or_empty(how->cert_dir),
			      r->last,
			      NULL};

	if (program(a, &argv[0], err) < 0)
		return -1;
	return converse(argv, r->input, r->what, ret, err);
}

int remote_pull(struct arena *a, const struct store *s, const char *ref,
		const struct remote_options *how, struct remote_result *ret, struct err *err)
{
	const struct request r = {how->anonymous ? "pull-public" : "pull", ref,
				  or_empty(how->platform), "", "pulling"};

	(void)s; /* it finds the same one, as it has the same environment */
	return call(a, &r, how, ret, err);
}

int remote_push(struct arena *a, const char *manifest, const char *ref,
		const struct remote_options *how, struct remote_result *ret, struct err *err)
{
	const struct request r = {"push", ref, manifest, "", "pushing"};

	return call(a, &r, how, ret, err);
}

int remote_check(struct arena *a, const char *registry, const char *user, const char *password,
		 const struct remote_options *how, struct err *err)
{
	const struct request r = {"check", registry, user, password, "logging in"};

	return call(a, &r, how, NULL, err);
}

void remote_remember(struct arena *a, const struct store *s, const char *ref,
		     const struct image_info *info)
{
	struct image_ref parts;
	const char *where;

	if (image_ref_parse(a, ref, &parts, NULL) < 0)
		return;
	where = arena_printf(a, "%s/%s", parts.registry, parts.repository);
	for (size_t i = 0; i < info->manifest.n; i++) {
		const char *diff_id = info->config.diff_ids[i];
		struct form *forms = NULL;
		size_t n = 0;

		if (form_list(a, s, diff_id, &forms, &n, NULL) < 0)
			continue;
		/* Only what is known: that this blob is that layer, no registry's word is enough for. */
		for (size_t k = 0; k < n; k++) {
			if (str_eq(forms[k].digest, info->manifest.layers[i].digest))
				(void)form_add(a, s, diff_id, &forms[k], where, NULL);
		}
	}
}
