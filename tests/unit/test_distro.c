#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/distro.h"

static void test_families(void **state)
{
	static const struct {
		const char *os_release;
		enum distro distro;
	} all[] = {
		{"ID=debian\n", DISTRO_DEBIAN},
		{"NAME=x\nID=ubuntu\nID_LIKE=debian\n", DISTRO_DEBIAN},
		{"ID=fedora", DISTRO_FEDORA},
		{"ID=\"rhel\"\n", DISTRO_FEDORA},
		{"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", DISTRO_FEDORA},
		{"ID=centos\n", DISTRO_FEDORA},
		{"ID=arch\n", DISTRO_ARCH},
		{"ID=manjaro\nID_LIKE=arch\n", DISTRO_ARCH},
		{"ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n", DISTRO_SUSE},
		{"ID=opensuse-leap\n", DISTRO_SUSE},
		{"ID=alpine\n", DISTRO_ALPINE},
		/* ID says more than what the system is like, in any order. */
		{"ID_LIKE=debian\nID=arch\n", DISTRO_ARCH},
		/* Not these keys, or not at the start of a line, or in another line. */
		{"VARIANT_ID=arch\nNAME=suse\nID=x\nPRETTY_NAME=\"ID=alpine\"\n", DISTRO_DEBIAN},
		{"ID=x\narch\n", DISTRO_DEBIAN},
		{"ID=\nNAME=fedora\n", DISTRO_DEBIAN},
		{"ID=nixos\n", DISTRO_DEBIAN},
		{"", DISTRO_DEBIAN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (distro_of(all[i].os_release) != all[i].distro)
			fail_msg("%s: %d", all[i].os_release, (int)distro_of(all[i].os_release));
	}
}

static void test_install(void **state)
{
	static const struct {
		enum distro distro;
		const char *slirp;
		const char *uidmap;
	} all[] = {
		{DISTRO_DEBIAN, "sudo apt-get install -y slirp4netns",
		 "sudo apt-get install -y uidmap"},
		{DISTRO_FEDORA, "sudo dnf install -y slirp4netns",
		 "sudo dnf install -y shadow-utils"},
		{DISTRO_ARCH, "sudo pacman -S --needed slirp4netns",
		 "sudo pacman -S --needed shadow"},
		{DISTRO_SUSE, "sudo zypper install slirp4netns", "sudo zypper install shadow"},
		{DISTRO_ALPINE, "sudo apk add slirp4netns", "sudo apk add shadow-uidmap"},
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_string_equal(distro_install(a, all[i].distro, "slirp4netns"), all[i].slirp);
		assert_string_equal(distro_install(a, all[i].distro, "newuidmap"), all[i].uidmap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_install),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
