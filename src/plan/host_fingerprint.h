/*
 * host_fingerprint — which host a layer lies on, where the host's own root is its base.
 */
#ifndef SBX_PLAN_HOST_FINGERPRINT_H
#define SBX_PLAN_HOST_FINGERPRINT_H

struct arena;

/*
 * "debian:12:x86_64:0123456789ab": ID and VERSION_ID of os-release(5), the machine of uname(2), and the first
 * digits of the digest of the package list (dpkg's or rpm's; "-" where there is none).
 */
const char *fingerprint_host(struct arena *a);

/* The same without a look at the packages: "debian:12:x86_64:". */
const char *fingerprint_system(struct arena *a);

#endif
