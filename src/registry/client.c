#include "registry/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/image.h"

#define FIRST_PAUSE_MS 500U
#define LONGEST_PAUSE_MS 8000U
#define LONGEST_ASKED_S 60
/* Where nobody answers at first: a wrong name, more often than a bad moment. */
#define UNHEARD_TRIES 3

void client_init(struct client *c, struct session *s)
{
	*c = (struct client){.session = s, .http = http_new(&s->http), .a = arena_new()};
}

void client_done(struct client *c)
{
	http_cleanup(&c->http);
	arena_cleanup(&c->a);
}

const char *client_url(struct client *c, const char *fmt, ...)
{
	_cleanup_buf_ struct buf b = {0};
	char path[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	buf_printf(&b, "%sv2/%s/%s", c->session->base.text, c->session->o.repository, path);
	return arena_strdup(c->a, b.p);
}

void client_pause(unsigned n, long retry_after_s)
{
	uint64_t ms = 0;
	uint8_t dice = 0;

	if (n == 0)
		return;
	ms = (uint64_t)FIRST_PAUSE_MS << (n - 1 < 4 ? n - 1 : 4);
	if (ms > LONGEST_PAUSE_MS)
		ms = LONGEST_PAUSE_MS;
	/* A little apart from others who were refused at the same time. */
	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) == sizeof(dice))
		ms += ms * dice / 1024;
	if (retry_after_s > LONGEST_ASKED_S)
		retry_after_s = LONGEST_ASKED_S;
	if (retry_after_s > 0 && (uint64_t)retry_after_s * 1000 > ms)
		ms = (uint64_t)retry_after_s * 1000;

	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

bool client_mendable(const struct err *failure)
{
	return failure->errnum == HTTP_AGAIN;
}

bool client_busy(const struct http_answer *answer)
{
	return answer->status == 408 || answer->status == 429 ||
	       (answer->status >= 500 && answer->status <= 599 && answer->status != 501 &&
		answer->status != 505);
}

static bool is_redirect(const struct http_call *call, const struct http_answer *answer)
{
	long s = answer->status;

	return (strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0) &&
	       (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && answer->location;
}

/* Where to go on; `from` is where it was sent from. */
static int follow(struct client *c, const struct url *from, const char *location, struct url *ret,
		  struct err *err)
{
	if (url_read(c->a, from->text, location, ret, err) < 0)
		return err_prefix(err, "the registry '%s' sends us on", c->session->o.registry);
	if (from->https && !ret->https)
		return err_set(err,
			       "the registry '%s' sends us on to '%.200s', which is plain http: "
			       "refused",
			       c->session->o.registry, ret->text);
	if (!c->session->loopback && image_is_loopback(ret->host))
		return err_set(err,
			       "the registry '%s' sends us on to '%.200s', which is this machine: "
			       "refused",
			       c->session->o.registry, ret->text);
	return 0;
}

/* One address: where that is the registry's, with what it wants for a login. */
static int ask(struct client *c, struct http_call *call, bool ours, struct http_answer *ret,
	       struct err *err)
{
	for (int round = 0;; round++) {
		_cleanup_answer_ struct http_answer answer = {0};

		call->authorization = ours ? session_authorization(c->session, c->a) : NULL;
		if (http_call(c->http, c->a, call, &answer, err) < 0)
			return -1;
		if (answer.status != 401 || !ours) {
			*ret = answer;
			answer = (struct http_answer){0};
			return 0;
		}
		/* A token may have been too old; the one that it gives then is not. */
		if (round == 2) {
			err_set(err, "the registry '%s' does not let us in, with what it gave us",
				c->session->o.registry);
			return err_hint(err, "%s", c->session->way_in);
		}
		if (session_authenticate(c->session, c->http, &answer.authenticate,
					 call->authorization, err) < 0)
			return -1;
	}
}

int client_try(struct client *c, const struct http_call *call, struct http_answer *ret,
	       struct err *err)
{
	struct http_call now = *call;
	struct url url, next;
	bool ours;

	if (url_read(c->a, NULL, call->url, &url, err) < 0)
		return -1;
	ours = url_same_origin(&url, &c->session->base);
	for (int hops = 0;; hops++) {
		_cleanup_answer_ struct http_answer answer = {0};

		now.url = url.text;
		if (ask(c, &now, ours, &answer, err) < 0)
			return -1;
		if (!is_redirect(call, &answer)) {
			*ret = answer;
			answer = (struct http_answer){0};
			return 0;
		}
		if (hops == CLIENT_REDIRECTS)
			return err_set(err,
				       "the registry '%s' sends us on and on: more than %d times",
				       c->session->o.registry, CLIENT_REDIRECTS);
		if (follow(c, &url, answer.location, &next, err) < 0)
			return -1;
		url = next;
		/* Once elsewhere, nobody's word brings the credentials back. */
		ours = ours && url_same_origin(&url, &c->session->base);
	}
}

/* `unheard`: how often, where no answer comes at all. */
static int call_times(struct client *c, const struct http_call *call, unsigned unheard,
		      struct http_answer *ret, struct err *err)
{
	long asked = 0;

	for (unsigned n = 0;; n++) {
		_cleanup_answer_ struct http_answer answer = {0};

		client_pause(n, asked);
		if (client_try(c, call, &answer, err) < 0) {
			if (n + 1 >= unheard || !client_mendable(err))
				return -1;
			asked = 0;
			continue;
		}
		if (n + 1 >= CLIENT_TRIES || !client_busy(&answer)) {
			*ret = answer;
			answer = (struct http_answer){0};
			return 0;
		}
		asked = answer.retry_after;
	}
}

int client_call(struct client *c, const struct http_call *call, struct http_answer *ret,
		struct err *err)
{
	return call_times(c, call, CLIENT_TRIES, ret, err);
}

/* The distribution specification's errors: {"errors": [{"code": …, "message": …}]}. */
static void add_cause(const struct http_answer *answer, struct buf *b)
{
	json_auto_t *root =
		answer->body.len > 0 ? json_loadb(answer->body.p, answer->body.len, 0, NULL) : NULL;
	const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *message = json_string_value(json_object_get(first, "message"));

	if (message && message[0] != '\0')
		buf_printf(b, ": %.300s", message);
	else if (code)
		buf_printf(b, ": %.100s", code);
}

int client_refused(const struct client *c, const char *what, const struct http_answer *answer,
		   struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	buf_printf(&b, "%s: the registry '%s' answers %ld", what, c->session->o.registry,
		   answer->status);
	add_cause(answer, &b);
	err_set(err, "%s", b.p);
	if (answer->status == 403 || answer->status == 401)
		return err_hint(err, "%s", c->session->way_in);
	return -1;
}

static int look(struct client *c, struct http_answer *ret, struct err *err)
{
	const struct http_call call = {
		.method = "GET",
		.url = arena_printf(c->a, "%sv2/", c->session->base.text),
		.limit = CLIENT_ERROR_MAX,
	};

	return call_times(c, &call, UNHEARD_TRIES, ret, err);
}

static int check_registry(const struct client *c, const struct http_answer *answer, struct err *err)
{
	if (answer->status == 200)
		return 0;
	if (answer->status == 404)
		return err_set(err, "'%s' is no registry: it has no /v2/", c->session->o.registry);
	return client_refused(c, "cannot log in", answer, err);
}

int client_open(struct client *c, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	struct session *s = c->session;
	struct err why = {0};

	if (look(c, &answer, &why) < 0) {
		bool no_tls = why.errnum == HTTP_NO_TLS;

		if (no_tls && s->loopback && !s->o.plain_http) {
			session_use_plain(s);
			no_tls = false;
			why = (struct err){0};
			if (look(c, &answer, &why) == 0)
				return check_registry(c, &answer, err);
		}
		*err = why;
		(void)err_prefix(err, "cannot use the registry '%s'", s->o.registry);
		return no_tls ? err_hint(err,
					 "if it speaks no TLS, and you trust the network up to "
					 "it: --plain-http")
			      : -1;
	}
	return check_registry(c, &answer, err);
}
