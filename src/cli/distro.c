#include "cli/distro.h"

#include <fcntl.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define OS_RELEASE_MAX 65536

static const struct {
	const char *word; /* in ID or ID_LIKE */
	enum distro distro;
} families[] = {
	{"debian", DISTRO_DEBIAN}, {"ubuntu", DISTRO_DEBIAN}, {"fedora", DISTRO_FEDORA},
	{"rhel", DISTRO_FEDORA},   {"centos", DISTRO_FEDORA}, {"arch", DISTRO_ARCH},
	{"suse", DISTRO_SUSE},     {"alpine", DISTRO_ALPINE},
};

/* A value of ID or ID_LIKE: words, maybe in quotes; "opensuse-tumbleweed" counts as suse. */
static bool has_word(const char *value, size_t len, const char *word)
{
	for (const char *p = value; p + strlen(word) <= value + len; p++) {
		if (strncmp(p, word, strlen(word)) == 0)
			return true;
	}
	return false;
}

enum distro distro_of(const char *os_release)
{
	static const char *const keys[] = {"ID=", "ID_LIKE="};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		for (const char *line = os_release; line; line = strchr(line, '\n')) {
			line += *line == '\n';
			if (!str_starts(line, keys[k]))
				continue;

			const char *value = line + strlen(keys[k]);

			for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
				if (has_word(value, strcspn(value, "\n"), families[i].word))
					return families[i].distro;
			}
		}
	}
	return DISTRO_DEBIAN;
}

enum distro distro_here(void)
{
	_cleanup_buf_ struct buf b = {0};

	if (fs_read_at(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &b, NULL) < 0 &&
	    fs_read_at(AT_FDCWD, "/usr/lib/os-release", OS_RELEASE_MAX, &b, NULL) < 0)
		return DISTRO_DEBIAN;
	return distro_of(b.p ? b.p : "");
}

const char *distro_install(struct arena *a, enum distro d, const char *program)
{
	static const struct {
		const char *install;
		const char *uidmap; /* the package of newuidmap */
	} ways[] = {
		[DISTRO_DEBIAN] = {"sudo apt-get install -y", "uidmap"},
		[DISTRO_FEDORA] = {"sudo dnf install -y", "shadow-utils"},
		[DISTRO_ARCH] = {"sudo pacman -S --needed", "shadow"},
		[DISTRO_SUSE] = {"sudo zypper install", "shadow"},
		[DISTRO_ALPINE] = {"sudo apk add", "shadow-uidmap"},
	};
	bool uidmap = strcmp(program, "newuidmap") == 0;

	return arena_printf(a, "%s %s", ways[d].install, uidmap ? ways[d].uidmap : program);
}
