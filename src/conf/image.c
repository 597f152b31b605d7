#include "conf/image.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#define MAX_REFERENCE 512
#define DEFAULT_TAG ":latest"

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool image_is_hex(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* Letters, digits and inner '-', in parts between dots. */
static bool is_domain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i + 1 == n || s[i - 1] == '.' || s[i + 1] == '.';

		if (!is_alnum(s[i]) && (edge || (s[i] != '-' && s[i] != '.')))
			return false;
	}
	return n > 0;
}

static bool is_port(const char *s, size_t n)
{
	char digits[6] = {0};
	uint64_t port = 0;

	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, s, n);
	return num_u64(digits, 1, 65535, &port, NULL) == 0;
}

/* A part of the path: lower-case words joined by one of . _ __ or any number of '-'. */
static bool is_component(const char *s, size_t n)
{
	size_t i = 0;

	if (n == 0 || !is_lower(s[0]) || !is_lower(s[n - 1]))
		return false;
	while (i < n) {
		size_t joint = i;

		while (i < n && is_lower(s[i]))
			i++;
		joint = i;
		while (i < n && !is_lower(s[i])) {
			if (s[i] != s[joint] || !strchr("._-", s[i]))
				return false;
			i++;
		}
		if ((s[joint] == '.' && i - joint > 1) || (s[joint] == '_' && i - joint > 2))
			return false;
	}
	return true;
}

static bool is_tag(const char *s, size_t n)
{
	if (n == 0 || n > 128 || (!is_alnum(s[0]) && s[0] != '_'))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(s[i]) && !strchr("_.-", s[i]))
			return false;
	return true;
}

/* Docker's short names mean its own registry; here each names one. */
static int no_registry(const char *s, struct err *err)
{
	const bool name = (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9');

	return err_hint(err,
			"write host, dir:PATH, tar:PATH, oci:PATH, layer:DIGEST, or an image with "
			"its registry, such as docker.io/%s%s",
			name && strchr(s, '/') ? "" : "library/", name ? s : "debian:12");
}

/* Split off the registry: the text before the first '/', if it looks like one. */
static int check_registry(const char *s, const char **ret_path, struct err *err)
{
	const char *slash = strchr(s, '/');
	const char *colon = slash ? memchr(s, ':', (size_t)(slash - s)) : NULL;
	size_t n = slash ? (size_t)(slash - s) : 0;

	if (!slash || (!colon && !memchr(s, '.', n) &&
		       !(n == strlen("localhost") && memcmp(s, "localhost", n) == 0))) {
		err_set(err, "it names no registry");
		return no_registry(s, err);
	}
	if (!is_domain(s, colon ? (size_t)(colon - s) : n)) {
		err_set(err, "'%.*s' is not a registry's name", (int)n, s);
		return no_registry("", err);
	}
	if (colon && !is_port(colon + 1, (size_t)(slash - colon - 1)))
		return err_set(err, "'%.*s' is not a port", (int)(slash - colon - 1), colon + 1);
	*ret_path = slash + 1;
	return 0;
}

static int check_path(const char *s, size_t n, struct err *err)
{
	const char *end = s + n;

	for (const char *part = s; part <= end;) {
		const char *slash = memchr(part, '/', (size_t)(end - part));
		size_t len = (size_t)((slash ? slash : end) - part);

		if (!is_component(part, len)) {
			err_set(err, "'%.*s' cannot be part of an image's name", (int)len, part);
			return err_hint(err, "an image's name is of lower-case letters, digits and "
					     "single '.', '_' or '-' between them");
		}
		part += len + 1;
	}
	return 0;
}

int image_check_reference(const char *s, struct err *err)
{
	const char *path = s;
	const char *digest, *tag, *end;

	if (strlen(s) > MAX_REFERENCE)
		return err_set(err, "an image's name has at most %d bytes", MAX_REFERENCE);
	if (strstr(s, "://")) {
		err_set(err, "it is an address of the web, not an image's name");
		return err_hint(err, "leave out what stands before the registry's name");
	}
	if (check_registry(s, &path, err) < 0)
		return -1;
	digest = strchr(path, '@');
	end = digest ? digest : path + strlen(path);
	tag = memchr(path, ':', (size_t)(end - path));
	if (check_path(path, (size_t)((tag ? tag : end) - path), err) < 0)
		return -1;
	if (tag && !is_tag(tag + 1, (size_t)(end - tag - 1)))
		return err_set(err, "'%.*s' is not a tag", (int)(end - tag - 1), tag + 1);
	if (digest && (strncmp(digest + 1, "sha256:", 7) != 0 || !image_is_hex(digest + 8)))
		return err_set(err, "'%s' is not sha256: and 64 lower-case hexadecimal digits",
			       digest + 1);
	/* Also as it is kept: with the tag that it has when none is written. */
	if (!tag && !digest && strlen(s) + strlen(DEFAULT_TAG) > MAX_REFERENCE)
		return err_set(err, "an image's name with its tag has at most %d bytes",
			       MAX_REFERENCE);
	return 0;
}

int image_ref_parse(struct arena *a, const char *s, struct image_ref *ret, struct err *err)
{
	const char *slash = strchr(s, '/');
	const char *at, *end, *colon;

	if (image_check_reference(s, err) < 0)
		return -1;
	at = strchr(s, '@');
	end = at ? at : s + strlen(s);
	colon = memchr(slash, ':', (size_t)(end - slash));
	*ret = (struct image_ref){
		.registry = arena_strndup(a, s, (size_t)(slash - s)),
		.repository =
			arena_strndup(a, slash + 1, (size_t)((colon ? colon : end) - slash - 1)),
		.tag = colon ? arena_strndup(a, colon + 1, (size_t)(end - colon - 1))
		       : at  ? NULL
			     : "latest",
		.digest = at ? arena_strdup(a, at + strlen("@sha256:")) : NULL,
		.full = colon || at ? arena_strdup(a, s) : arena_printf(a, "%s" DEFAULT_TAG, s),
	};
	return 0;
}

/* Four numbers, as inet_aton's many other forms are not. */
static bool is_loopback_v4(const char *s)
{
	char part[4];
	uint64_t n;

	for (int i = 0; i < 4; i++) {
		size_t len = strspn(s, "0123456789");

		if (len == 0 || len >= sizeof(part) || s[len] != (i < 3 ? '.' : '\0'))
			return false;
		memcpy(part, s, len);
		part[len] = '\0';
		if (num_u64(part, i == 0 ? 127 : 0, i == 0 ? 127 : 255, &n, NULL) < 0)
			return false;
		s += len + 1;
	}
	return true;
}

bool image_is_loopback(const char *host)
{
	return str_eq(host, "localhost") || str_ends(host, ".localhost") || str_eq(host, "::1") ||
	       str_eq(host, "[::1]") || is_loopback_v4(host);
}
