#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/profile.h"
#include "conf/trust.h"

#define MAX_REQUESTS 8
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct ask_case {
	const char *text;
	const char *what[MAX_REQUESTS]; /* with ":LINE" behind each */
};

static const struct ask_case cases[] = {
	{"", {NULL}},
	/* Nothing of this is more than the project has anyway. */
	{"[profile]\nname = x\n[user]\nas = root\n[base]\nimage = dir:./root\n"
	 "[env]\npass = LANG LC_ALL TERM NO_COLOR TZ\nset.SECRET = 1\n"
	 "[mounts]\n./data = /data:rw\nsub/../data2 = /d2\n/home/me/proj/x = /x:rw\n. = /copy\n"
	 "[network]\nmode = none\nports = 80 127.0.0.2:81 [::1]:82\n"
	 "[security]\nseccomp = strict\nnested = no\n[build]\nrun = make\n",
	 {NULL}},
	{"[mounts]\n~ = /h\n~/data = /d:rw\n/etc = /e\n../other = /o\na/../../up = /u\n"
	 "/home/me/projector = /p\n",
	 {"mount '/home/me' at '/h', read-only:2", "mount '/home/me/data' at '/d', read-write:3",
	  "mount '/etc' at '/e', read-only:4", "mount '/home/me/other' at '/o', read-only:5",
	  "mount '/home/me/up' at '/u', read-only:6",
	  "mount '/home/me/projector' at '/p', read-only:7", NULL}},
	/* A second way to the policy, writable. */
	{"[mounts]\n. = /a:rw\n./sbx.ini = /b:rw\n.sbx/x = /c:rw\nsbx.lock = /d:rw\n.sbx = /e\n",
	 {"mount '/home/me/proj' at '/a', read-write:2",
	  "mount '/home/me/proj/sbx.ini' at '/b', read-write:3",
	  "mount '/home/me/proj/.sbx/x' at '/c', read-write:4",
	  "mount '/home/me/proj/sbx.lock' at '/d', read-write:5", NULL}},
	{"[network]\nmode = host\n", {"the network of the host: mode = host:2", NULL}},
	{"[network]\nports = 0.0.0.0:80 192.0.2.1:81 [::]:82 128.0.0.1:83\n",
	 {"port 80 on the address 0.0.0.0, for others to reach:2",
	  "port 81 on the address 192.0.2.1, for others to reach:2",
	  "port 82 on the address ::, for others to reach:2",
	  "port 83 on the address 128.0.0.1, for others to reach:2", NULL}},
	{"[security]\nseccomp = off\nnested = yes\n",
	 {"no filter of system calls: seccomp = off:2",
	  "user namespaces of its own: nested = yes:3", NULL}},
	{"[share]\nssh-agent = yes\ngit = yes\nwayland = yes\nx11 = yes\ngpu = yes\n",
	 {"the use of your ssh keys, through the agent: ssh-agent = yes:2",
	  "your name and mail address, as git has them: git = yes:3",
	  "your Wayland display: wayland = yes:4",
	  "your X11 display, on which it may see and type: x11 = yes:5",
	  "the device nodes of the GPU: gpu = yes:6", NULL}},
	{"[share]\nssh-agent = no\ngit = no\nx11 = no\n", {NULL}},
	{"[env]\npass = LANG SSH_AUTH_SOCK\npass = LD_PRELOAD\n",
	 {"the variable 'SSH_AUTH_SOCK' from outside:2", "the variable 'LD_PRELOAD' from outside:3",
	  NULL}},
	{"[base]\nimage = dir:/\n", {"'/' as the root:2", NULL}},
	{"[base]\nimage = tar:~/x.tar\n", {"'/home/me/x.tar' as the root:2", NULL}},
	{"[base]\nimage = oci:../img\n", {"'/home/me/img' as the root:2", NULL}},
	/* What anybody can fetch, and what is the user's own. */
	{"[base]\nimage = registry.example/public:1\n", {NULL}},
	{"[base]\nimage = registry.example/own:1\n",
	 {"the image 'registry.example/own:1' of your own store as the root:2", NULL}},
	{"[base]\nimage = registry.example:5000/a:1\n",
	 {"perhaps a login of yours for the image 'registry.example:5000/a:1' as the root:2",
	  NULL}},
	{"[base]\nimage = oci:./img:1\n", {NULL}},
	{"[base]\nimage = localhost/a:1\n",
	 {"the image 'localhost/a:1' of your own store as the root:2", NULL}},
	{"[base]\nimage = layer:sha256:" HEX "\n",
	 {"the layer '" HEX "' of your own store as the root:2", NULL}},
	{"[base]\nimage = 127.0.0.1:5000/a\n",
	 {"the image '127.0.0.1:5000/a', from a registry on this machine itself as the root:2",
	  NULL}},
	{"[base]\nimage = LocalHost:5000/a\n",
	 {"the image 'LocalHost:5000/a', from a registry on this machine itself as the root:2",
	  NULL}},
	{"[base]\nimage = x.localhost/a\n",
	 {"the image 'x.localhost/a', from a registry on this machine itself as the root:2", NULL}},
	{"[build]\nrun = x --from=localhost/a\ncopy = a /b\ncopy = --from=host /etc/fstab /\n"
	 "copy = --from=registry.example/public:1 /x /y\ncopy = --from=tar:./img /x /y\n",
	 {NULL}},
	{"[build]\ncopy = --from=registry.example/a /x /y\n",
	 {"perhaps a login of yours for the image 'registry.example/a' to copy from:2", NULL}},
	{"[build]\ncopy = --from=localhost/a /x /y\ncopy = --from=debian:12 /x /y\n"
	 "copy = --chmod=644 --from=layer:" HEX " /x /y\ncopy = --from=tar:~/x.tar /x /y\n"
	 "copy = --from=oci:/srv/img:1 /x /y\ncopy = --from=$X /x /y\n"
	 "copy = --from=local\\host/a /x /y\n",
	 {"the image 'localhost/a' of your own store to copy from:2",
	  "the image 'debian:12' of your own, where your store has one of that name to copy from:3",
	  "the layer '" HEX "' of your own store to copy from:4", "'/home/me/x.tar' to copy from:5",
	  "'/srv/img:1' to copy from:6",
	  "an image whose name is made up when it is built, '$X', to copy from:7",
	  "an image whose name is made up when it is built, 'local\\host/a', to copy from:8",
	  NULL}},
};

/* The store has two: one that anybody was given, and one more. */
static enum trust_image known(void *ctx, const char *ref)
{
	(void)ctx;
	return strcmp(ref, "registry.example/public:1") == 0 ? TRUST_IMAGE_PUBLIC
	       : strcmp(ref, "registry.example/own:1") == 0  ? TRUST_IMAGE_OWN
							     : TRUST_IMAGE_ABSENT;
}

static void requests(struct arena *a, const char *text, bool trusted, struct trust_request **ret,
		     size_t *ret_n)
{
	const struct trust_facts facts = {
		.project = "/home/me/proj", .home = "/home/me", .image = known};
	struct profile_source src = {"sbx.ini", text, strlen(text), trusted};
	const struct profile *p = NULL;
	struct err err = {0};

	if (profile_parse(a, &src, NULL, NULL, &p, &err) < 0)
		fail_msg("%s", err.msg);
	trust_requests(a, p, &facts, ret, ret_n);
}

static void test_untrusted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct trust_request *list = NULL;
		size_t n = 0;

		requests(a, cases[i].text, false, &list, &n);
		for (size_t j = 0; j < n; j++) {
			if (!cases[i].what[j])
				fail_msg("unexpected: %s", list[j].what);
			assert_string_equal(arena_printf(a, "%s%s:%d",
							 list[j].optional ? "perhaps " : "",
							 list[j].what, list[j].at.line),
					    cases[i].what[j]);
		}
		assert_null(cases[i].what[n]);
	}
}

static void test_trusted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct trust_request *list = NULL;
		size_t n = 1;

		requests(a, cases[i].text, true, &list, &n);
		assert_int_equal(n, 0);
	}
}

static void test_harmless(void **state)
{
	static const char *const good[] = {"LANG",      "LANGUAGE", "LC_CTYPE", "TERM",
					   "COLORTERM", "NO_COLOR", "TZ"};
	static const char *const bad[] = {"",
					  "LC",
					  "lang",
					  "PATH",
					  "HOME",
					  "LD_LIBRARY_PATH",
					  "TERMINFO",
					  "AWS_SECRET_ACCESS_KEY",
					  "DISPLAY",
					  "XDG_RUNTIME_DIR",
					  "SSH_AUTH_SOCK",
					  "LANGX"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(trust_env_harmless(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(trust_env_harmless(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untrusted),
		cmocka_unit_test(test_trusted),
		cmocka_unit_test(test_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
