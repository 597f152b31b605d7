#include "cli/jupyter_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/str.h"

#define TOKEN_FILE "jupyter-token"
#define PORT_FILE "jupyter-port"

int jupyter_random(size_t bytes, char *ret, struct err *err)
{
	unsigned char random[JUPYTER_TOKEN_BYTES];

	if (getrandom(random, bytes, 0) != (ssize_t)bytes)
		return err_errno(err, errno, "cannot get random bytes");
	for (size_t i = 0; i < bytes; i++)
		for (int k = 0; k < 2; k++)
			ret[2 * i + (size_t)k] = "0123456789abcdef"[random[i] >> (k ? 0 : 4) & 15];
	ret[2 * bytes] = '\0';
	return 0;
}

static bool is_token(const struct buf *b)
{
	return b->p && b->len == JUPYTER_TOKEN_LEN &&
	       strspn(b->p, "0123456789abcdef") == JUPYTER_TOKEN_LEN;
}

int jupyter_token(int env_fd, bool anew, char ret[JUPYTER_TOKEN_LEN + 1], struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	char token[JUPYTER_TOKEN_LEN + 1];
	struct err why = {0};

	if (!anew && fs_read_at(env_fd, TOKEN_FILE, JUPYTER_TOKEN_LEN, &b, &why) == 0 &&
	    is_token(&b)) {
		memcpy(ret, b.p, JUPYTER_TOKEN_LEN + 1);
		return 0;
	}
	if (jupyter_random(JUPYTER_TOKEN_BYTES, token, err) < 0 ||
	    fs_write_atomic(env_fd, TOKEN_FILE, token, JUPYTER_TOKEN_LEN, 0600, err) < 0)
		return -1;
	memcpy(ret, token, sizeof(token));
	return 0;
}

/* A lock of fcntl(2): no process that this one forks has it, so that it ends with this one. */
static int try_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? 1 : -1;
}

int jupyter_claim(int env_fd, int *ret_fd, uint16_t *ret_port, struct err *err)
{
	_cleanup_fd_ int fd =
		openat(env_fd, PORT_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	uint64_t port = 0;
	char text[8];
	ssize_t n;
	int taken;

	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", PORT_FILE);
	taken = try_lock(fd);
	if (taken < 0)
		return err_errno(err, errno, "cannot lock '%s'", PORT_FILE);
	if (!taken) {
		if (ftruncate(fd, 0) < 0)
			return err_errno(err, errno, "cannot write '%s'", PORT_FILE);
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	if (num_u64(text, 1, UINT16_MAX, &port, NULL) < 0)
		port = 0;
	*ret_port = (uint16_t)port;
	return 1;
}

int jupyter_claim_port(int fd, uint16_t port, struct err *err)
{
	char text[8];
	int n = snprintf(text, sizeof(text), "%u", port);

	if (pwrite(fd, text, (size_t)n, 0) != n)
		return err_errno(err, errno, "cannot write '%s'", PORT_FILE);
	return 0;
}
