#include "store/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#define FILE_MAX ((size_t)4 << 20)
#define FIELDS 7

/* Of what is no plain file, or is not there: nothing. */
static int read_file(int root, const char *path, struct buf *ret, struct err *err)
{
	_cleanup_fd_ int seen = -1;
	_cleanup_fd_ int fd = -1;
	struct err why = {0};
	char piece[16384];
	struct stat st;
	ssize_t n;

	if (fs_open_in_root(root, path, O_PATH, 0, &seen, &why) < 0 || fstat(seen, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	if (fs_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &why) < 0)
		return 0;
	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		buf_add(ret, piece, (size_t)n);
		if (ret->len > FILE_MAX)
			return err_set(err, "the root's '%s' is larger than %zu bytes", path,
				       FILE_MAX);
	}
	return 0;
}

/* Cut a line into its fields; false: too few. */
static bool split(char *line, char *fields[FIELDS], size_t want)
{
	size_t n = 0;

	while (n < FIELDS) {
		fields[n++] = line;
		line = strchr(line, ':');
		if (!line)
			break;
		*line++ = '\0';
	}
	return n >= want;
}

static bool number(const char *s, uint32_t *ret)
{
	uint64_t n = 0;

	if (num_u64(s, 0, UINT32_MAX - 1, &n, NULL) < 0)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* The first line whose name (or, where `word` is a number, whose id) is that one. */
static bool find(struct arena *a, const struct buf *text, const char *word, size_t want,
		 char *fields[FIELDS])
{
	char *all = arena_strndup(a, text->p ? text->p : "", text->len);
	uint32_t id = 0;
	bool is_id = number(word, &id);

	while (*all) {
		size_t n = strcspn(all, "\n");
		char *line = arena_strndup(a, all, n);
		uint32_t got;

		all += n + (all[n] == '\n');
		if (!split(line, fields, want))
			continue;
		if (str_eq(fields[0], word) || (is_id && number(fields[2], &got) && got == id))
			return true;
	}
	return false;
}

static int find_user(struct arena *a, int root, const char *word, struct account *ret,
		     struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	char *fields[FIELDS];
	uint32_t gid = 0;
	uint32_t uid = 0;

	if (read_file(root, "/etc/passwd", &text, err) < 0)
		return -1;
	ret->home = "/";
	if (find(a, &text, word, 4, fields) && number(fields[2], &uid) && number(fields[3], &gid)) {
		bool has_home = find(a, &text, word, 6, fields) && fields[5][0] == '/';

		*ret = (struct account){uid, gid, has_home ? fields[5] : "/", true};
		return 0;
	}
	if (number(word, &uid)) {
		ret->uid = uid;
		ret->gid = 0;
		return 0;
	}
	return err_errno(err, ENOENT, "there is no user '%s' in the root's /etc/passwd", word);
}

static int find_group(struct arena *a, int root, const char *word, gid_t *ret, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	char *fields[FIELDS];
	uint32_t gid = 0;

	if (number(word, &gid)) {
		*ret = gid;
		return 0;
	}
	if (read_file(root, "/etc/group", &text, err) < 0)
		return -1;
	if (find(a, &text, word, 3, fields) && number(fields[2], &gid)) {
		*ret = gid;
		return 0;
	}
	return err_errno(err, ENOENT, "there is no group '%s' in the root's /etc/group", word);
}

int accounts_find(struct arena *a, int root, const char *spec, struct account *ret, struct err *err)
{
	const char *colon = strchr(spec, ':');
	struct account found = {0};

	if (find_user(a, root,
		      arena_strndup(a, spec, colon ? (size_t)(colon - spec) : strlen(spec)), &found,
		      err) < 0)
		return -1;
	if (colon && colon[1] && find_group(a, root, colon + 1, &found.gid, err) < 0)
		return -1;
	*ret = found;
	return 0;
}
