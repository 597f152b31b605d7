#include "run/proto.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

/* How long whoever should answer is waited for. */
#define ANSWER_MS 5000

/* argv is NULL, not empty. */
#define NO_ARGV UINT32_MAX

struct head {
	uint32_t argc;
	uint32_t envc;
};

static uint32_t add_all(struct buf *b, const char *const *v)
{
	uint32_t n = 0;

	for (; v && v[n]; n++)
		buf_add(b, v[n], strlen(v[n]) + 1);
	return n;
}

int proto_body_encode(const struct proto_body *body, struct buf *ret, struct err *err)
{
	_cleanup_buf_ struct buf strings = {0};
	struct head head = {.argc = NO_ARGV};

	if (body->argv)
		head.argc = add_all(&strings, body->argv);
	head.envc = add_all(&strings, body->env);
	buf_add(&strings, body->cwd, strlen(body->cwd) + 1);
	if (sizeof(head) + strings.len > PROTO_BODY_MAX)
		return err_errno(err, E2BIG, "cannot pass the command to the sandbox");
	buf_add(ret, &head, sizeof(head));
	buf_add(ret, strings.p, strings.len);
	return 0;
}

/* What is left to read. */
struct reader {
	const char *p;
	size_t n;
};

/* The next string, or NULL where there is none that is whole. */
static const char *next_string(struct reader *r)
{
	const char *s = r->p;
	const char *end = r->n > 0 ? memchr(r->p, '\0', r->n) : NULL;

	if (!end)
		return NULL;
	r->n -= (size_t)(end - s) + 1;
	r->p = end + 1;
	return s;
}

static const char *const *next_list(struct arena *a, struct reader *r, uint32_t count)
{
	const char **v;

	/* Each string takes a byte at least: a count beyond that is a lie, and no reason to
	 * ask for memory. */
	if (count > r->n)
		return NULL;
	v = arena_alloc(a, ((size_t)count + 1) * sizeof(*v));
	for (uint32_t i = 0; i < count; i++) {
		v[i] = next_string(r);
		if (!v[i])
			return NULL;
	}
	return v;
}

int proto_body_decode(struct arena *a, const void *p, size_t n, struct proto_body *ret,
		      struct err *err)
{
	struct proto_body body = {0};
	struct reader r;
	struct head head;
	char *copy;

	if (n < sizeof(head) || n > PROTO_BODY_MAX)
		return err_set(err, "cannot read the request: it has a wrong length");
	memcpy(&head, p, sizeof(head));
	copy = arena_alloc(a, n);
	memcpy(copy, p, n);
	r = (struct reader){copy + sizeof(head), n - sizeof(head)};
	if (head.argc != NO_ARGV) {
		body.argv = next_list(a, &r, head.argc);
		if (!body.argv || !body.argv[0])
			return err_set(err, "cannot read the request: no command in it");
	}
	body.env = next_list(a, &r, head.envc);
	body.cwd = next_string(&r);
	if (!body.env || !body.cwd || r.n > 0)
		return err_set(err, "cannot read the request: it is damaged");
	*ret = body;
	return 0;
}

int proto_send(int sock, enum proto_type type, struct proto_msg *msg, const int *fds, size_t nfds)
{
	msg->version = PROTO_VERSION;
	msg->type = type;
	return proc_send(sock, msg, sizeof(*msg), fds, nfds);
}

int proto_recv(int sock, struct proto_msg *ret, int *ret_fds, size_t *ret_nfds, struct err *err)
{
	ssize_t n = proc_recv(sock, ret, sizeof(*ret), ret_fds, ret_nfds);

	/* A reset is how a socket says that the other side went away with our message unread. */
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return err_errno(err, errno, "cannot talk to the sandbox");
	if ((size_t)n == sizeof(*ret) && ret->version == PROTO_VERSION)
		return 1;
	for (size_t i = 0; ret_fds && i < *ret_nfds; i++)
		(void)close(ret_fds[i]);
	(void)err_errno(err, EPROTO,
			"cannot talk to the sandbox: another version of sbx started it");
	return err_hint(err, "sbx stop, and try again");
}

void proto_answer_fd(int sock, enum proto_type type, int fd)
{
	struct proto_msg msg = {0};

	if (proto_send(sock, type, &msg, &fd, 1) == 0)
		return;
	(void)err_errno(&msg.u.err, errno, "the sandbox cannot pass a descriptor on");
	(void)proto_send(sock, PROTO_FAILED, &msg, NULL, 0);
}

static int ending(struct err *err)
{
	return err_errno(err, EAGAIN, "cannot ask the sandbox: it is ending");
}

int proto_ask(int sock, enum proto_type type, struct proto_msg *msg, int *ret_fd, struct err *err)
{
	struct pollfd answer = {.fd = sock, .events = POLLIN};
	int fds[PROC_MAX_FDS];
	size_t n = 0;
	int r;

	if (proto_send(sock, type, msg, NULL, 0) < 0)
		return errno == EPIPE || errno == ECONNRESET
			       ? ending(err)
			       : err_errno(err, errno, "cannot ask the sandbox");
	do
		r = poll(&answer, 1, ANSWER_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0) {
		(void)err_errno(err, ETIMEDOUT, "cannot ask the sandbox");
		return err_hint(err, "it may have been stopped from inside: sbx stop ends it");
	}
	r = proto_recv(sock, msg, fds, &n, err);
	if (r <= 0)
		return r < 0 ? -1 : ending(err);
	for (size_t i = ret_fd ? 1 : 0; i < n; i++)
		(void)close(fds[i]);
	if (ret_fd)
		*ret_fd = n > 0 ? fds[0] : -1;
	return 0;
}

int proto_failed_errno(const struct proto_msg *msg)
{
	const int errnum = msg->u.err.errnum;

	if (errnum <= 0 || errnum >= 4096)
		return EPROTO;
	/* That one is for a sandbox that is ending; of a socket it means that its backlog is full. */
	return errnum == EAGAIN ? ECONNREFUSED : errnum;
}
