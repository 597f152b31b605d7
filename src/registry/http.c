#include "registry/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "registry/outside.h"

/* Of all lines of an answer's head together. */
#define HEAD_MAX ((size_t)64 << 10)
#define CONNECT_S 15L

struct http {
	CURL *easy;
	struct http_settings *settings;
};

/* A request while it runs. */
struct exchange {
	const struct http_call *call;
	struct http_settings *settings;
	struct http_answer answer;
	struct arena *a;
	CURL *easy;
	size_t head;
	uint64_t sent;
	struct err why; /* ours, where we were who ended it */
};

struct http *http_new(struct http_settings *s)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->settings = s;
	h->easy = curl_easy_init();
	return h;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->easy);
	free(h);
}

void http_cleanup(struct http **h)
{
	http_free(*h);
	*h = NULL;
}

void http_answer_done(struct http_answer *answer)
{
	buf_done(&answer->body);
}

static void take_header(struct exchange *x, const char *line, size_t n)
{
	const struct {
		const char *name;
		const char **to;
	} known[] = {
		{"location", &x->answer.location},
		{"content-type", &x->answer.content_type},
		{"docker-content-digest", &x->answer.content_digest},
		{"content-range", &x->answer.content_range},
		{"range", &x->answer.range},
	};
	const char *colon = memchr(line, ':', n);
	size_t name = colon ? (size_t)(colon - line) : 0;
	const char *value;

	if (!colon)
		return;
	value = str_trim(arena_strndup(x->a, colon + 1, n - name - 1));
	if (name == strlen("www-authenticate") && strncasecmp(line, "www-authenticate", name) == 0)
		strv_push(x->a, &x->answer.authenticate, value);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (name == strlen(known[i].name) && strncasecmp(line, known[i].name, name) == 0)
			*known[i].to = value;
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	n *= size;
	x->head += n;
	if (x->head > HEAD_MAX) {
		err_set(&x->why, "the head of its answer has more than %zu bytes", HEAD_MAX);
		return 0;
	}
	/* Another answer before the one that counts: of a proxy, or "100 Continue". */
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0)
		x->answer = (struct http_answer){0};
	else
		take_header(x, line, n);
	return n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	n *= size;
	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->answer.status);
	if (x->call->sink && (x->answer.status == 200 || x->answer.status == 206))
		return x->call->sink(x->call->sink_ctx, &x->answer, p, n, &x->why) < 0 ? 0 : n;
	if (x->answer.body.len + n > x->call->limit) {
		err_set(&x->why, "its answer has more than %zu bytes", x->call->limit);
		return 0;
	}
	buf_add(&x->answer.body, p, n);
	return n;
}

static size_t on_read(char *p, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	const struct http_call *c = x->call;
	uint64_t left = c->body_size - x->sent;
	ssize_t got;

	n *= size;
	if (n > left)
		n = (size_t)left;
	if (n == 0)
		return 0;
	if (c->body) {
		memcpy(p, c->body + x->sent, n);
		got = (ssize_t)n;
	} else {
		got = pread(c->body_fd, p, n, (off_t)(c->body_offset + x->sent));
	}
	if (got <= 0) {
		err_errno(&x->why, got < 0 ? errno : EIO, "cannot read what is to be sent");
		return CURL_READFUNC_ABORT;
	}
	x->sent += (uint64_t)got;
	if (c->sent)
		c->sent(c->sent_ctx, got);
	return (size_t)got;
}

/* curl begins anew on another connection where the first was closed while it was idle. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
	struct exchange *x = ctx;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_FAIL;
	if (x->call->sent)
		x->call->sent(x->call->sent_ctx, (int64_t)offset - (int64_t)x->sent);
	x->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	const struct exchange *x = ctx;

	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	return atomic_load(&x->settings->stop) ? 1 : 0;
}

/* Before it is connected, so that the name counts for nothing: only where it leads to. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct exchange *x = ctx;
	in_port_t port = 0;

	(void)purpose;
	if (to->family == AF_INET || to->family == AF_INET6)
		/* At the same place in both. */
		memcpy(&port, (const char *)&to->addr + offsetof(struct sockaddr_in, sin_port),
		       sizeof(port));
	if (x->settings->outside_only && outside_is_here(&to->addr) &&
	    !outside_is_proxy(ntohs(port))) {
		(void)err_set(&x->why, "it is this machine itself, which an image that was not "
				       "allowed may not come from");
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_method(CURL *easy, const struct http_call *c)
{
	bool post = strcmp(c->method, "POST") == 0;

	if (strcmp(c->method, "HEAD") == 0) {
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (c->body_size > 0 && !post) {
		(void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->body_size);
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method);
	} else if (strcmp(c->method, "GET") != 0) {
		(void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_size);
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, c->body ? c->body : "");
		(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, c->method);
	}
}

static void set_safety(CURL *easy, struct http_settings *s)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 100L);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, s->timeout_s);
	if (s->direct)
		(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	if (s->ca.len > 0) {
		struct curl_blob blob = {s->ca.p, s->ca.len, CURL_BLOB_NOCOPY};

		(void)curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
	}
}

static void set_callbacks(CURL *easy, struct exchange *x)
{
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(easy, CURLOPT_READDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	(void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, x);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
}

static struct curl_slist *make_headers(struct arena *a, const struct http_call *c)
{
	struct curl_slist *list = curl_slist_append(NULL, "User-Agent: sbx/" SBX_VERSION);

	/* It costs a second with servers that do not know it. */
	list = curl_slist_append(list, "Expect:");
	for (size_t i = 0; c->headers && c->headers[i]; i++)
		list = curl_slist_append(list, c->headers[i]);
	if (c->authorization)
		list = curl_slist_append(list,
					 arena_printf(a, "Authorization: %s", c->authorization));
	return list;
}

/* Which failures another try may mend. */
static int errnum_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return HTTP_AGAIN;
	case CURLE_SSL_CONNECT_ERROR:
		return HTTP_NO_TLS;
	default:
		return 0;
	}
}

static int hint_of(CURLcode code, struct err *err)
{
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_hint(err, "look at its name; where that is right, this machine has no "
				     "network, or no name server that knows it");
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_hint(err, "look at the variables https_proxy, http_proxy and all_proxy");
	case CURLE_COULDNT_CONNECT:
		return err_hint(err, "nothing answers there: look at its name and port, and "
				     "whether it runs");
	case CURLE_OPERATION_TIMEDOUT:
		return err_hint(err, "it, or the network up to it, stands still: try once more "
				     "later");
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_hint(err,
				"its certificate is of an authority that this machine does not "
				"know, or of another host: --cert-dir DIR names a folder with "
				"the authority's certificate (*.crt)");
	default:
		return -1;
	}
}

static int failed(const struct exchange *x, CURLcode code, const char *text, struct err *err)
{
	if (x->why.msg[0] != '\0') {
		*err = x->why;
		return err_prefix(err, "%.300s", x->call->url);
	}
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return err_errno(err, ECANCELED, "%.300s", x->call->url);
	err_set(err, "%.300s: %s", x->call->url, text[0] ? text : curl_easy_strerror(code));
	err->errnum = errnum_of(code);
	return hint_of(code, err);
}

int http_call(struct http *h, struct arena *a, const struct http_call *call,
	      struct http_answer *ret, struct err *err)
{
	struct exchange x = {.call = call, .settings = h->settings, .a = a, .easy = h->easy};
	char text[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = make_headers(a, call);
	curl_off_t wait = 0;
	CURLcode code;

	curl_easy_reset(h->easy);
	set_safety(h->easy, h->settings);
	set_callbacks(h->easy, &x);
	set_method(h->easy, call);
	(void)curl_easy_setopt(h->easy, CURLOPT_URL, call->url);
	(void)curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, text);
	code = curl_easy_perform(h->easy);
	(void)curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &x.answer.status);
	(void)curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &wait);
	(void)curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	x.answer.retry_after = wait < 0 || wait > 3600 ? 3600 : (long)wait;
	if (code != CURLE_OK) {
		http_answer_done(&x.answer);
		return failed(&x, code, text, err);
	}
	*ret = x.answer;
	return 0;
}
