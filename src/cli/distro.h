/*
 * distro — how this distribution installs what sbx needs.
 */
#ifndef SBX_CLI_DISTRO_H
#define SBX_CLI_DISTRO_H

struct arena;

enum distro { DISTRO_DEBIAN, DISTRO_FEDORA, DISTRO_ARCH, DISTRO_SUSE, DISTRO_ALPINE };

/* From the text of os-release(5); what is not known counts as Debian. */
enum distro distro_of(const char *os_release);

/* The same, of this machine. */
enum distro distro_here(void);

/* "sudo apt-get install -y fuse-overlayfs" for the package that holds `program`. */
const char *distro_install(struct arena *a, enum distro d, const char *program);

#endif
