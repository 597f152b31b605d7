/*
 * profile_json — a merged profile as a JSON object: `sbx profile show --json`.
 */
#ifndef SBX_CLI_PROFILE_JSON_H
#define SBX_CLI_PROFILE_JSON_H

#include <jansson.h>

struct profile;

/* A new reference.  Sections and keys are those of sbx.ini(5); what was not set is null. */
json_t *profile_json(const struct profile *p);

#endif
