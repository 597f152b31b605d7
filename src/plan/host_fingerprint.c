#include "plan/host_fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define OS_RELEASE_MAX (1U << 20)
#define PACKAGES_MAX (256U << 20)
#define DIGITS 12

/* The value of NAME=value or NAME="value" in os-release; "-" where it has none. */
static const char *value_of(struct arena *a, const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		size_t len;

		line += *line == '\n';
		if (strncmp(line, name, n) != 0 || line[n] != '=')
			continue;
		line += n + 1;
		line += *line == '"' || *line == '\'';
		len = strcspn(line, "\"'\n:");
		return len > 0 ? arena_strndup(a, line, len) : "-";
	}
	return "-";
}

const char *fingerprint_system(struct arena *a)
{
	_cleanup_buf_ struct buf b = {0};
	struct utsname u = {0};
	const char *text;

	if (fs_read_at(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &b, NULL) < 0)
		(void)fs_read_at(AT_FDCWD, "/usr/lib/os-release", OS_RELEASE_MAX, &b, NULL);
	text = b.p ? b.p : "";
	(void)uname(&u);
	return arena_printf(a, "%s:%s:%s:", value_of(a, text, "ID"),
			    value_of(a, text, "VERSION_ID"), u.machine[0] ? u.machine : "-");
}

static const char *packages(struct arena *a)
{
	static const char *const lists[] = {
		"/var/lib/dpkg/status",
		"/var/lib/rpm/rpmdb.sqlite",
		"/usr/lib/sysimage/rpm/rpmdb.sqlite",
		"/lib/apk/db/installed",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		_cleanup_buf_ struct buf b = {0};
		char hex[DIGEST_HEX + 1];

		if (fs_read_at(AT_FDCWD, lists[i], PACKAGES_MAX, &b, NULL) < 0 || !b.p)
			continue;
		digest_sha256(b.p, b.len, hex);
		return arena_strndup(a, hex, DIGITS);
	}
	return "-";
}

const char *fingerprint_host(struct arena *a)
{
	return arena_printf(a, "%s%s", fingerprint_system(a), packages(a));
}
