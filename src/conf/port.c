#include "conf/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

static int parse_number(const char *s, bool zero, uint16_t *ret, struct err *err)
{
	uint64_t n = 0;

	if (num_u64(s, zero ? 0 : 1, UINT16_MAX, &n, NULL) < 0)
		return err_set(err, "'%s' is not a port: a number from %d to 65535", s,
			       zero ? 0 : 1);
	*ret = (uint16_t)n;
	return 0;
}

/* An address before the ports: [IPv6]: or IPv4: — what looks like a number is a port. */
static int split_address(char *word, char **ret_ports, const char **ret_address, struct err *err)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	bool six = word[0] == '[';
	char *end = six ? strchr(word, ']') : strchr(word, ':');
	char *address = six ? word + 1 : word;

	*ret_ports = word;
	*ret_address = NULL;
	if (!six && (!end || strspn(word, "0123456789") == (size_t)(end - word)))
		return 0;
	if (!end || (six && end[1] != ':'))
		return err_set(err, "'%s' is not [ADDRESS:]PORT[:PORT-INSIDE][/udp]", word);
	*end = '\0';
	if (inet_pton(six ? AF_INET6 : AF_INET, address, bytes) != 1) {
		(void)err_set(err, "'%s' is not an address", address);
		return err_hint(err,
				"write a numeric address such as 127.0.0.1:8888 or [::1]:8888");
	}
	*ret_address = address;
	*ret_ports = end + (six ? 2 : 1);
	return 0;
}

/* Cut "/udp" off. */
static int split_protocol(char *word, bool *ret_udp, struct err *err)
{
	char *slash = strchr(word, '/');

	*ret_udp = false;
	if (!slash)
		return 0;
	*slash++ = '\0';
	if (str_eq(slash, "tcp"))
		return 0;
	if (!str_eq(slash, "udp"))
		return err_set(err, "'%s' is not a protocol: tcp or udp", slash);
	*ret_udp = true;
	return 0;
}

int port_parse(struct arena *a, const char *text, unsigned flags, struct port_value *ret,
	       struct err *err)
{
	struct port_value v = {0};
	bool any = flags & PORT_ANY;
	char *word = arena_strdup(a, text);
	char *ports = NULL;
	char *colon;

	if (split_protocol(word, &v.udp, err) < 0 ||
	    split_address(word, &ports, &v.address, err) < 0)
		return -1;
	colon = strchr(ports, ':');
	if (colon)
		*colon++ = '\0';
	if (parse_number(ports, any, &v.host, err) < 0)
		return -1;
	if (v.host == 0 && !colon) {
		(void)err_set(err, "'%s' does not say which port inside", text);
		return err_hint(err, "0 is any port of the host's that is free: write 0:8888");
	}
	v.inside = v.host;
	if (colon && parse_number(colon, false, &v.inside, err) < 0)
		return -1;
	*ret = v;
	return 0;
}

const char *port_address(const struct port_value *v)
{
	return v->address ? v->address : "127.0.0.1";
}

void port_print(const struct port_value *v, struct buf *ret)
{
	if (v->address)
		buf_printf(ret, strchr(v->address, ':') ? "[%s]:" : "%s:", v->address);
	buf_printf(ret, "%u", (unsigned)v->host);
	if (v->inside != v->host)
		buf_printf(ret, ":%u", (unsigned)v->inside);
	if (v->udp)
		buf_adds(ret, "/udp");
}

bool port_is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (!address)
		return true;
	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool port_clash(const struct port_value *a, const struct port_value *b)
{
	static const char *const any[] = {"0.0.0.0", "::"};
	const char *x = port_address(a);
	const char *y = port_address(b);

	/* Those of IPv6 are bound for it alone. */
	if (a->host != b->host || a->host == 0 || a->udp != b->udp ||
	    !strchr(x, ':') != !strchr(y, ':'))
		return false;
	for (size_t i = 0; i < 2; i++)
		if (str_eq(x, any[i]) || str_eq(y, any[i]))
			return true;
	return str_eq(x, y);
}
