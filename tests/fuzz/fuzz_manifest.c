/*
 * fuzz_manifest — indexes, manifests and configs come from anybody: any bytes give a document, which written and read
 * again is written the same, or a message and nothing else.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refused(const struct err *err)
{
	if (err->errnum != EBADMSG || err->msg[0] == '\0')
		abort();
}

static void check_same(const struct buf *one, const struct buf *two)
{
	if (one->len != two->len || memcmp(one->p, two->p, one->len) != 0)
		abort();
}

static void try_index(struct arena *a, const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};
	const struct oci_platform here = oci_platform_here();
	const struct oci_descriptor *d = NULL;
	struct oci_index index = {0};
	struct err err = {0};

	if (oci_read_index(a, data, size, &index, &err) < 0) {
		check_refused(&err);
		return;
	}
	if (oci_choose(&index, &here, &d, &err) < 0)
		check_refused(&err);
	oci_write_index(&index, &one);
	if (oci_read_index(a, one.p, one.len, &index, &err) < 0)
		abort();
	oci_write_index(&index, &two);
	check_same(&one, &two);
}

static void try_manifest(struct arena *a, const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};
	struct oci_manifest m = {0};
	enum oci_kind kind = OCI_IS_INDEX;
	struct err err = {0};

	if (oci_read_manifest(a, data, size, &m, &err) < 0) {
		check_refused(&err);
		return;
	}
	if (oci_kind(data, size, m.media_type, &kind, &err) < 0 || kind != OCI_IS_MANIFEST)
		abort();
	oci_write_manifest(&m, &one);
	if (oci_read_manifest(a, one.p, one.len, &m, &err) < 0)
		abort();
	oci_write_manifest(&m, &two);
	check_same(&one, &two);
}

static void try_config(struct arena *a, const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};
	struct oci_config c = {0};
	struct err err = {0};

	if (oci_read_config(a, data, size, &c, &err) < 0) {
		check_refused(&err);
		return;
	}
	oci_write_config(&c, &one);
	if (oci_read_config(a, one.p, one.len, &c, &err) < 0)
		abort();
	oci_write_config(&c, &two);
	check_same(&one, &two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();

	try_index(a, data, size);
	try_manifest(a, data, size);
	try_config(a, data, size);
	return 0;
}
