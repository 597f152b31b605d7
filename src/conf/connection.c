#include "conf/connection.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define IP_MAX 100

const char *const connection_channels[CONNECTION_CHANNELS] = {"shell", "iopub", "stdin", "control",
							      "hb"};

static int load(const char *text, size_t len, json_t **ret, struct err *err)
{
	json_auto_t *root = NULL;
	json_error_t why;

	if (len > CONNECTION_MAX)
		return err_set(err, "it is longer than %d bytes", CONNECTION_MAX);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(err, "it is no JSON: %s", why.text);
	if (!json_is_object(root))
		return err_set(err, "it is no JSON object");
	*ret = TAKE_PTR(root);
	return 0;
}

static void port_key(size_t i, char ret[static 32])
{
	size_t n = strlen(connection_channels[i]);

	memcpy(ret, connection_channels[i], n);
	memcpy(ret + n, "_port", sizeof("_port"));
}

static int read_ports(const json_t *root, struct connection *c, struct err *err)
{
	char key[32];

	for (size_t i = 0; i < CONNECTION_CHANNELS; i++) {
		const json_t *v;
		json_int_t n;

		port_key(i, key);
		v = json_object_get(root, key);
		n = json_integer_value(v);
		if (!json_is_integer(v) || n < 1 || n > UINT16_MAX)
			return err_set(err, "its %s is no port", key);
		c->port[i] = (uint16_t)n;
		for (size_t k = 0; k < i; k++)
			if (c->port[k] == c->port[i])
				return err_set(err, "its %s is that of %s, too", key,
					       connection_channels[k]);
	}
	return 0;
}

/* Messages are signed, but whoever reaches the sockets can read along. */
static bool is_loopback(const char *ip)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, ip, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, ip, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int read_address(struct arena *a, const json_t *root, struct connection *c, struct err *err)
{
	const char *transport = json_string_value(json_object_get(root, "transport"));
	const char *ip = json_string_value(json_object_get(root, "ip"));

	/* As jupyter_client has it where it is not said. */
	if (!transport)
		transport = "tcp";
	c->ipc = str_eq(transport, "ipc");
	if (!c->ipc && !str_eq(transport, "tcp"))
		return err_set(err, "its transport is neither tcp nor ipc");
	if (!ip || !*ip || strlen(ip) > IP_MAX)
		return err_set(err, "it has no ip");
	if (!c->ipc && !is_loopback(ip)) {
		(void)err_set(err, "its ip is not this machine's own");
		return err_hint(err, "the front end must use 127.0.0.1: others could read along");
	}
	c->ip = arena_strdup(a, ip);
	return 0;
}

int connection_parse(struct arena *a, const char *text, size_t len, struct connection *ret,
		     struct err *err)
{
	struct connection c = {0};
	json_auto_t *root = NULL;

	if (load(text, len, &root, err) < 0 || read_address(a, root, &c, err) < 0 ||
	    read_ports(root, &c, err) < 0)
		return -1;
	*ret = c;
	return 0;
}

int connection_inside(const char *text, size_t len, const char *prefix, struct buf *ret,
		      struct err *err)
{
	json_auto_t *root = NULL;
	_cleanup_free_ char *out = NULL;
	char key[32];
	bool ok;

	if (load(text, len, &root, err) < 0)
		return -1;
	ok = json_object_set_new(root, "transport", json_string("ipc")) == 0 &&
	     json_object_set_new(root, "ip", json_string(prefix)) == 0;
	for (size_t i = 0; ok && i < CONNECTION_CHANNELS; i++) {
		port_key(i, key);
		ok = json_object_set_new(root, key, json_integer((json_int_t)i + 1)) == 0;
	}
	out = ok ? json_dumps(root, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
	if (!out)
		return err_set(err, "cannot write the connection file for inside");
	buf_adds(ret, out);
	return 0;
}
