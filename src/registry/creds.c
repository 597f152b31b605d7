#include "registry/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "store/oci_json.h"

#define FILE_MAX ((size_t)1 << 20)
#define ANSWER_MAX ((size_t)64 << 10)
/* What helpers say, with a failure, of what they do not have. */
#define NOT_FOUND "credentials not found"

extern char **environ;

static int spawn(const char *program, int in, int out, pid_t *ret)
{
	const char *const argv[] = {program, "get", NULL};
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return r;
	r = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawn(ret, program, &files, NULL, (char *const *)(uintptr_t)argv,
				environ);
	(void)posix_spawn_file_actions_destroy(&files);
	return r;
}

static int read_answer(int fd, struct buf *ret, struct err *err)
{
	char block[4096];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read its answer");
		if (ret->len + (size_t)n > ANSWER_MAX)
			return err_set(err, "its answer has more than %zu bytes", ANSWER_MAX);
		buf_add(ret, block, (size_t)n);
	}
	return 0;
}

/* Write the server's name to it, and read what it says; its exit status. */
static int converse(const char *program, const char *server, struct buf *ret, int *ret_status,
		    struct err *err)
{
	int in[2] = {-1, -1};
	int out[2] = {-1, -1};
	_cleanup_fd_ int to = -1;
	_cleanup_fd_ int from = -1;
	pid_t pid = -1;
	int status = 0;
	int r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	to = in[1];
	if (pipe2(out, O_CLOEXEC) < 0) {
		cleanup_fd(&in[0]);
		return err_errno(err, errno, "cannot make a pipe");
	}
	from = out[0];
	r = spawn(program, in[0], out[1], &pid);
	cleanup_fd(&in[0]);
	cleanup_fd(&out[1]);
	if (r)
		return err_errno(err, r, "cannot run it");
	/* One that does not read it may answer all the same. SIGPIPE is ignored in this program. */
	(void)fs_write_all(to, server, strlen(server));
	cleanup_fd(&to);
	r = read_answer(from, ret, err);
	cleanup_fd(&from);
	if (proc_wait(pid, &status, r < 0 ? NULL : err) < 0)
		return -1;
	*ret_status = proc_exit_status(status);
	return r;
}

static int read_login(struct arena *a, const struct buf *text, struct auth *ret, struct err *err)
{
	const char *user = NULL;
	const char *secret = NULL;
	json_auto_t *root = NULL;

	if (oci_json(text->p ? text->p : "", text->len, &root, err) < 0 ||
	    oci_json_text(a, root, "Username", &user, err) < 0 ||
	    oci_json_text(a, root, "Secret", &secret, err) < 0)
		return -1;
	if (!user || !secret)
		return err_set(err, "its answer has no Username or no Secret");
	if (str_eq(user, "<token>"))
		*ret = (struct auth){.token = secret};
	else
		*ret = (struct auth){.user = user, .password = secret};
	return 0;
}

int creds_ask_helper(struct arena *a, const struct auth *which, const char *path_list,
		     struct auth *ret, struct err *err)
{
	const char *name = arena_printf(a, "docker-credential-%s", which->helper);
	_cleanup_free_ char *program = NULL;
	_cleanup_buf_ struct buf said = {0};
	int status = 0;
	int r;

	if (proc_find(name, path_list, &program) < 0) {
		err_set(err, "cannot ask '%s' for the password of '%s': there is no such program",
			name, which->server);
		return err_hint(err, "install it, or take its name out of the file that names it");
	}
	if (converse(program, which->server, &said, &status, err) < 0)
		return err_prefix(err, "cannot ask '%s' for the password of '%s'", name,
				  which->server);
	if (status != 0 && said.p && strstr(said.p, NOT_FOUND)) {
		*ret = (struct auth){0};
		return 0;
	}
	if (status != 0)
		return err_set(err, "'%s' has no password of '%s': %.200s", name, which->server,
			       said.p ? str_trim(said.p) : "it failed and said nothing");
	r = read_login(a, &said, ret, err);
	if (said.p)
		explicit_bzero(said.p, said.len);
	return r < 0 ? err_prefix(err, "cannot use the answer of '%s'", name) : 0;
}

int creds_find(struct arena *a, const char *named, const char *registry, const char *repository,
	       struct auth *ret, struct err *err)
{
	const char *path = getenv("PATH");
	struct auth found = {0};
	struct strv files = {0};

	if (authfile_paths(a, named, &files, err) < 0)
		return -1;
	for (size_t i = 0; i < files.n && !found.user && !found.token; i++) {
		_cleanup_buf_ struct buf text = {0};
		struct err why = {0};
		struct auth got = {0};

		if (fs_read_at(AT_FDCWD, files.v[i], FILE_MAX, &text, &why) < 0) {
			if (why.errnum == ENOENT && !named)
				continue;
			*err = why;
			return -1;
		}
		if (text.len == 0)
			continue;
		if (authfile_find(a, &text, registry, repository, &got, err) < 0)
			return err_prefix(err, "cannot use '%s'", files.v[i]);
		if (got.helper &&
		    creds_ask_helper(a, &got, path ? path : "/usr/bin:/bin", &found, err) < 0)
			return -1;
		if (!got.helper)
			found = got;
	}
	*ret = found;
	return 0;
}
