/*
 * image — the grammar of registry references and digests, as text.
 */
#ifndef SBX_CONF_IMAGE_H
#define SBX_CONF_IMAGE_H

#include <stdbool.h>

struct arena;
struct err;

/*
 * REGISTRY[:PORT]/PATH[:TAG][@sha256:HEX], as the OCI distribution specification and the
 * "distribution" project's reference grammar have it; the registry's name may not be left out.
 * Fails with the cause alone.
 */
int image_check_reference(const char *s, struct err *err);

/* A reference in its parts. */
struct image_ref {
	const char *registry;   /* as written: "registry.example:5000" */
	const char *repository; /* "me/tools" */
	const char *tag;        /* "latest" where neither tag nor digest was written; or NULL */
	const char *digest;     /* 64 hexadecimal digits, or NULL */
	const char *full;       /* all of it again, with the tag that was left out */
};

/* Check and split; the strings are in `a`.  Fails as image_check_reference. */
int image_ref_parse(struct arena *a, const char *s, struct image_ref *ret, struct err *err);

/*
 * Is it this machine?  localhost and what ends in .localhost (RFC 6761), 127.0.0.0/8, ::1: there, and only there,
 * nobody can listen on the way.  `host` has no port.
 */
bool image_is_loopback(const char *host);

/* 64 lower-case hexadecimal digits. */
bool image_is_hex(const char *s);

#endif
