/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's configuration: one table gives the keys of shunt.conf, the flags (--state-dir), the
 * environment variables (SHUNT_STATE_DIR), bounds and defaults. Later wins: default, file,
 * environment, flag.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct config {
	char *listen, *socket, *state_dir, *store_dir;
	char *api_key_file, *allowed_hosts, *allowed_origins;
	char *toolkit_provision;
	char *engine_source, *engine_cpu, *worker_env, *log_level, *build_priority;
	char *hf_endpoint, *hf_token_file, *offline, *fetch_media;
	int64_t idle_unload_ms;
	int64_t hold_timeout_ms, hold_limit, hold_bytes, drain_timeout_ms, build_jobs;
	int64_t stall_timeout_ms, worker_growth, context_bytes, memory_limit;
};

/* Defaults, the file, the environment. file: NULL for the usual places (absent there is fine; a
 * named one must be there). */
MUST_CHECK bool config_load(const char *file, struct config *ret, struct err *e);
/* One key, as a flag gives it: "state-dir" or "state_dir". Space around the value goes, a pair of
 * quotes too; a relative path is from the working directory. ERR_INVALID for an unknown key or a
 * bad value, naming both. */
MUST_CHECK bool config_set(struct config *c, const char *key, const char *value, struct err *e);
/* True when a flag of this name exists and takes a value. */
bool config_has(const char *key);
const char *config_key(size_t i); /* the i-th; NULL: there are no more */
/* "key = value" lines with their meaning, as a file that could be read again. */
void config_show(const struct config *c, struct buf *out);
void config_done(struct config *c);

/* store_dir, or <state_dir>/store when none was given. Caller frees. */
char *config_store_dir(const struct config *c);
/* A list value ("a, b c") as its words. */
void config_words(const char *text, struct strv *ret);
/* worker_env as its variables: "A=1,2 B=\"x y\"", separated by spaces alone. */
MUST_CHECK bool config_variables(const char *text, struct strv *ret, struct err *e);
