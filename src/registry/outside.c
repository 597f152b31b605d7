#include "registry/outside.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

static bool is_here_v4(uint32_t address)
{
	return address >> 24 == 127 || address >> 24 == 0;
}

bool outside_is_here(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		return is_here_v4(ntohl(in.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in;
		uint32_t low;

		memcpy(&in, address, sizeof(in));
		memcpy(&low, in.sin6_addr.s6_addr + 12, sizeof(low));
		if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr) || IN6_IS_ADDR_V4COMPAT(&in.sin6_addr))
			return is_here_v4(ntohl(low));
		return IN6_IS_ADDR_LOOPBACK(&in.sin6_addr) ||
		       IN6_IS_ADDR_UNSPECIFIED(&in.sin6_addr);
	}
	/* Of a socket in the file system nobody but the user can speak. */
	return true;
}

static bool is_port_of(const char *proxy, uint16_t port)
{
	CURLU *h = curl_url();
	char *text = NULL;
	uint64_t n = 1080; /* libcurl's, where none is said */
	bool same;

	if (curl_url_set(h, CURLUPART_URL, proxy, CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) ==
		    CURLUE_OK &&
	    curl_url_get(h, CURLUPART_PORT, &text, 0) == CURLUE_OK)
		(void)num_u64(text, 1, UINT16_MAX, &n, NULL);
	same = n == port;
	curl_free(text);
	curl_url_cleanup(h);
	return same;
}

bool outside_is_proxy(uint16_t port)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
					    "ALL_PROXY"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *proxy = getenv(names[i]);

		if (proxy && proxy[0] != '\0' && is_port_of(proxy, port))
			return true;
	}
	return false;
}
