/*
 * profile_world — profiles out of texts, for tests of what reads them.
 */
#ifndef SBX_TESTS_PROFILE_WORLD_H
#define SBX_TESTS_PROFILE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"

/* The profile that `text` is, as a project's own file without named profiles. */
static inline const struct profile *profile_of(struct arena *a, const char *text)
{
	struct profile_source src = {.file = "sbx.ini", .text = text, .len = strlen(text)};
	const struct profile *p = NULL;
	struct err err = {0};

	if (profile_parse(a, &src, NULL, NULL, &p, &err) < 0)
		fail_msg("%s", err.msg);
	return p;
}

/* Every key, in the order of sbx.ini(5): the example of DESIGN.md §3, with a registry's name of its own. */
#define PROFILE_EVERYTHING                                             \
	"[profile]\n"                                                  \
	"name = thesis\n"                                              \
	"[base]\n"                                                     \
	"image = registry.example/library/debian:12   ; or host\n"     \
	"[user]\n"                                                     \
	"as = root\n"                                                  \
	"[env]\n"                                                      \
	"pass = LANG TERM, COLORTERM\n"                                \
	"set.PYTHONUTF8 = 1\n"                                         \
	"set.OPTS = a=b;c # d\n"                                       \
	"[mounts]\n"                                                   \
	"~/data = /data:ro       ; read-only\n"                        \
	"./with space, comma:colon = /a b:rw\n"                        \
	"\"/odd = \\\"x\\\" ;y\\\\\" = /odd//path/\n"                  \
	"[network]\n"                                                  \
	"mode = none\n"                                                \
	"driver = pasta\n"                                             \
	"ports = 8888 0.0.0.0:80:8080,[::1]:81\n"                      \
	"[limits]\n"                                                   \
	"memory = 4G\n"                                                \
	"cpus = 0.5\n"                                                 \
	"pids = 512\n"                                                 \
	"best-effort = yes\n"                                          \
	"[security]\n"                                                 \
	"seccomp = strict\n"                                           \
	"nested = on\n"                                                \
	"[build]\n"                                                    \
	"run = apt-get update && apt-get install -y build-essential\n" \
	"  run = a; b\n"                                               \
	"[commit]\n"                                                   \
	"exclude = /var/cache/a b;c/**/[!x]*.deb ; a comment\n"        \
	"exclude = __pycache__/\n"                                     \
	"[sandbox]\n"                                                  \
	"linger = 1500ms\n"

#endif
