/*
 * outside — who may be spoken to for a profile that nobody allowed: not this machine itself, however it is called.
 */
#ifndef SBX_REGISTRY_OUTSIDE_H
#define SBX_REGISTRY_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* 127.0.0.0/8, 0.0.0.0/8, ::1, ::, and the first two written as IPv6. */
bool outside_is_here(const struct sockaddr *address);

/* The user's own proxies, by the variables that libcurl reads: is it the port of one? */
bool outside_is_proxy(uint16_t port);

#endif
