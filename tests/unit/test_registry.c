/*
 * The program sbx-registry from within: addresses, whom a password is told, requests and their limits.
 * With a real registry and with hostile ones, tests/cli/test_registry*.py cover registry/fetch, registry/manifest,
 * registry/pull, registry/push, registry/upload, registry/http_settings and registry/main, and from the
 * other side cli/remote and cli/images_what; tests/cli/test_trust.py covers registry/fetch_again.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/challenge.h"
#include "registry/client.h"
#include "registry/creds.h"
#include "registry/crew.h"
#include "registry/outside.h"
#include "registry/token.h"
#include "registry_world.h"

static void test_empty(void **state)
{
	struct http_answer answer = {0};
	struct http_settings settings = {0};
	struct session session = {0};
	struct client client = {0};
	struct events events;

	(void)state;
	http_free(NULL);
	http_answer_done(&answer);
	http_settings_done(&settings);
	session_done(&session);
	client_done(&client);
	event_init(&events, -1);
	event_done(&events);
}

static struct url url_of(struct arena *a, const char *base, const char *text)
{
	struct url u = {0};
	struct err err = {0};

	if (url_read(a, base, text, &u, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return u;
}

static bool is_here(int family, const char *text)
{
	struct sockaddr_storage to = {.ss_family = (sa_family_t)family};
	void *at = family == AF_INET ? (void *)&((struct sockaddr_in *)&to)->sin_addr
				     : (void *)&((struct sockaddr_in6 *)&to)->sin6_addr;

	assert_int_equal(inet_pton(family, text, at), 1);
	return outside_is_here((struct sockaddr *)&to);
}

static void test_outside(void **state)
{
	static const char *const here4[] = {"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3"};
	static const char *const here6[] = {"::1", "::", "::ffff:127.0.0.1", "::127.0.0.1",
					    "::ffff:0.0.0.0"};
	static const char *const out6[] = {"2001:db8::1", "fe80::1", "::ffff:192.0.2.1", "1::"};
	struct sockaddr_storage named = {.ss_family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < sizeof(here4) / sizeof(here4[0]); i++)
		assert_true(is_here(AF_INET, here4[i]));
	for (size_t i = 0; i < sizeof(here6) / sizeof(here6[0]); i++)
		assert_true(is_here(AF_INET6, here6[i]));
	for (size_t i = 0; i < sizeof(out6) / sizeof(out6[0]); i++)
		assert_false(is_here(AF_INET6, out6[i]));
	assert_false(is_here(AF_INET, "126.255.255.255"));
	assert_false(is_here(AF_INET, "128.0.0.1"));
	assert_true(outside_is_here((struct sockaddr *)&named));
}

static void test_proxy(void **state)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
					    "ALL_PROXY"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_false(outside_is_proxy(3128));
	assert_int_equal(setenv("https_proxy", "http://127.0.0.1:3128/", 1), 0);
	assert_true(outside_is_proxy(3128));
	assert_false(outside_is_proxy(1080));
	assert_int_equal(setenv("https_proxy", "127.0.0.1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "socks5h://u:p@localhost:9050", 1), 0);
	assert_false(outside_is_proxy(3128));
	assert_true(outside_is_proxy(1080));
	assert_true(outside_is_proxy(9050));
	assert_int_equal(unsetenv("https_proxy"), 0);
	assert_int_equal(unsetenv("ALL_PROXY"), 0);
}

static void test_url(void **state)
{
	static const char *const bad[] = {
		"ftp://h/", "file:///etc/passwd", "https://u:p@h/", "https://u@h/",
		"nothing",  "https://",           "http://h:99999/"};
	_cleanup_arena_ struct arena *a = arena_new();
	const struct url plain = url_of(a, NULL, "http://H.x/a");
	const struct url moved = url_of(a, "https://h.x:5000/v2/a/b", "/c?d=e#f");

	(void)state;
	assert_string_equal(plain.host, "h.x");
	assert_string_equal(plain.port, "80");
	assert_false(plain.https);
	assert_string_equal(moved.text, "https://h.x:5000/c?d=e");
	assert_string_equal(moved.port, "5000");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct url u;

		if (url_read(a, NULL, bad[i], &u, NULL) == 0)
			fail_msg("no error for '%s'", bad[i]);
	}
	assert_string_equal(url_with(a, "https://h/t?x=1", "account", "a&b c"),
			    "https://h/t?x=1&account=a%26b+c");
}

static void test_origin(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct url one = url_of(a, NULL, "https://h.x/");
	static const char *const same[] = {"https://h.x:443/b", "https://H.X/"};
	static const char *const other[] = {"http://h.x/", "https://h.x:444/", "https://h.x.y/",
					    "https://y.h.x/", "http://h.x:443/"};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		const struct url u = url_of(a, NULL, same[i]);

		assert_true(url_same_origin(&one, &u));
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		const struct url u = url_of(a, NULL, other[i]);

		assert_false(url_same_origin(&one, &u));
	}
}

/* Whom the password is told: session.h's rules, one row each. */
static void test_realm(void **state)
{
	enum { NO, ASK, TELL };
	static const struct {
		const char *registry, *realm;
		int want;
	} cases[] = {
		{"https://r.x/", "https://r.x/token", TELL},
		{"https://r.x/", "https://auth.y/token", TELL},
		{"https://r.x/", "http://r.x/token", NO},
		{"https://r.x/", "https://localhost/token", NO},
		{"https://r.x/", "https://127.0.0.1:9/token", NO},
		{"https://r.x/", "https://[::1]/token", NO},
		{"https://r.x/", "file:///etc/passwd", NO},
		{"https://r.x/", "", NO},
		{"http://r.x/", "http://r.x/token", TELL},
		{"http://r.x/", "http://r.x:81/token", ASK},
		{"http://r.x/", "https://auth.y/token", ASK},
		{"http://127.0.0.1:5000/", "http://127.0.0.1:5000/token", TELL},
		{"http://127.0.0.1:5000/", "http://127.0.0.1:5001/token", ASK},
		{"https://127.0.0.1:5000/", "http://127.0.0.1:5000/token", NO},
		{"https://127.0.0.1:5000/", "https://127.0.0.1:5001/token", TELL},
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct url registry = url_of(a, NULL, cases[i].registry);
		const struct challenge c = {
			.scheme = CHALLENGE_BEARER, .realm = cases[i].realm, .service = ""};
		const struct token_want want = {.registry = &registry,
						.loopback = str_eq(registry.host, "127.0.0.1"),
						.challenge = &c};
		bool secrets = false;
		struct url realm;
		int got = NO;

		if (token_may_ask(a, &want, &realm, &secrets, NULL) == 0)
			got = secrets ? TELL : ASK;
		if (got != cases[i].want)
			fail_msg("%s names %s: %d", cases[i].registry, cases[i].realm, got);
	}
	assert_string_equal(token_basic(a, "Aladdin", "open sesame"),
			    "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

static void open_session(struct session *s, const struct world *w, const struct auth *auth,
			 struct events *events)
{
	const struct session_options o = {
		.registry = w->host, .repository = "a", .plain_http = true};
	struct err err = {0};

	event_init(events, -1);
	if (session_init(s, &o, auth, events, &err) < 0)
		fail_msg("%s", err.msg);
}

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

static void test_client(void **state)
{
	static const struct canned answers[] = {
		{"GET /v2/a/away",
		 "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\n"
		 "Location: http://localhost:1/\r\n\r\n"},
		{"GET /v2/a/there", "HTTP/1.1 307 x\r\nConnection: close\r\nContent-Length: 0\r\n"
				    "Location: /v2/a/it\r\n\r\n"},
		{"GET /v2/a/it", OK},
		{"GET /v2/ ", OK},
		{NULL, NULL},
	};
	const struct auth nobody = {0};
	struct events events;
	struct session s;
	struct client c;
	struct world w;
	struct err err = {0};
	struct http_call call = {.method = "GET", .limit = 2};
	_cleanup_answer_ struct http_answer answer = {0};
	_cleanup_answer_ struct http_answer none = {0};

	(void)state;
	world_start(&w, answers);
	open_session(&s, &w, &nobody, &events);
	client_init(&c, &s);
	assert_int_equal(client_open(&c, &err), 0);
	call.url = client_url(&c, "there");
	assert_int_equal(client_try(&c, &call, &answer, &err), 0);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body.p, "ok");
	call.limit = 1;
	assert_int_equal(client_try(&c, &call, &none, &err), -1);
	assert_non_null(strstr(err.msg, "its answer has more than 1 bytes"));
	assert_false(client_mendable(&err));
	/* Nobody is at that port: a failure that another try may mend. */
	call.url = client_url(&c, "away");
	assert_int_equal(client_try(&c, &call, &none, &err), -1);
	assert_true(client_mendable(&err));
	client_done(&c);
	session_done(&s);
	event_done(&events);
	world_stop(&w);
}

static int count(struct client *c, void *ctx, size_t i, struct err *err)
{
	atomic_int *seen = ctx;

	(void)c;
	(void)atomic_fetch_add(seen, 1);
	return i == 7 ? err_set(err, "the eighth") : 0;
}

static void test_crew(void **state)
{
	static const struct canned none[] = {{NULL, NULL}};
	const struct auth nobody = {0};
	atomic_int seen = 0;
	struct events events;
	struct session s;
	struct client c;
	struct world w;
	struct err err = {0};

	(void)state;
	world_start(&w, none);
	open_session(&s, &w, &nobody, &events);
	client_init(&c, &s);
	assert_int_equal(crew_work(&c, count, &seen, 7, &err), 0);
	assert_int_equal(atomic_load(&seen), 7);
	assert_int_equal(crew_work(&c, count, &seen, 1000, &err), -1);
	assert_string_equal(err.msg, "the eighth");
	assert_true(atomic_load(&seen) < 1000);
	client_done(&c);
	session_done(&s);
	event_done(&events);
	world_stop(&w);
}

/* One JSON object a line, whatever the bytes. */
static void test_event(void **state)
{
	struct events events;
	struct err err = {0};
	char line[512] = "";
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	event_init(&events, fds[1]);
	err_set(&err, "bad \xff\n\"byte\"");
	event_error(&events, &err);
	assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line,
			    "{\"event\":\"error\",\"usage\":false,\"errnum\":0,\"message\":\"bad "
			    "\\\\xff\\n\\\"byte\\\"\",\"hint\":\"\"}\n");
	event_done(&events);
	cleanup_fd(&fds[0]);
	cleanup_fd(&fds[1]);
}

static void test_helper(void **state)
{
	static const char script[] =
		"#!/bin/sh\nread server\n[ \"$server\" != r.x ] || "
		"{ echo '{\"Username\": \"<token>\", \"Secret\": \"s\"}'; exit 0; }\n"
		"echo credentials not found in native keychain; exit 1\n";
	_cleanup_arena_ struct arena *a = arena_new();
	struct auth which = {.helper = "test", .server = "r.x"};
	struct auth got = {0};
	struct err err = {0};
	char dir[] = "/tmp/sbx-unit-XXXXXX";
	const char *file;
	_cleanup_fd_ int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	file = arena_printf(a, "%s/docker-credential-test", dir);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, script, sizeof(script) - 1), 0);
	cleanup_fd(&fd);
	assert_int_equal(creds_ask_helper(a, &which, dir, &got, &err), 0);
	assert_string_equal(got.token, "s");
	assert_null(got.user);
	which.server = "other.x";
	assert_int_equal(creds_ask_helper(a, &which, dir, &got, &err), 0);
	assert_null(got.token);
	(void)unlink(file);
	(void)rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),   cmocka_unit_test(test_url),
		cmocka_unit_test(test_origin),  cmocka_unit_test(test_realm),
		cmocka_unit_test(test_client),  cmocka_unit_test(test_crew),
		cmocka_unit_test(test_outside), cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_event),   cmocka_unit_test(test_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
