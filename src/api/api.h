/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The HTTP side: listens on TCP and on the Unix socket, checks who may call, finds the route,
 * answers JSON. */

#include <stdbool.h>

#include "base/err.h"
#include "db/db.h"
#include "engine/engine.h"
#include "env/env.h"
#include "gateway/gateway.h"
#include "switch/switch.h"
#include "task/task.h"

struct api;
struct gpu_watch;
struct api_settings {       /* borrowed until api_free */
	const char *listen; /* "127.0.0.1:7717", "[::1]:7717", "" or NULL for none; port 0: any, see
			       api_port */
	const char *socket; /* Unix socket path, mode 0600; NULL for none */
	const char *api_key;              /* NULL: none; required unless listen is loopback */
	const char *const *allowed_hosts; /* NULL-ended, may be NULL */
	const char *const *allowed_origins;
	const struct pull_settings *pull;
	const char *self;              /* our own program, which asks drivers as a child */
	const char *const *worker_env; /* NULL-ended, of the configuration; may be NULL */
	struct gpu_watch *gpus;        /* may be NULL */
	const char *envs_dir;          /* to show where an environment lies; NULL: not shown */
	struct db *db;
	struct store *store;
	struct engine *engine;
	struct envs *envs;
	struct tasks *tasks;
	struct switcher *switcher;
	struct supervisor *supervisor;
	struct routes *routes;
	struct gateway *gateway;
};
/* Port taken: ERR_CONFLICT that says so. A socket file of a dead daemon is replaced, of a living
 * one refused. */
MUST_CHECK bool api_start(const struct api_settings *s, struct api **ret, struct err *e);
int api_port(const struct api *a); /* 0: none */
/* From now on new requests get 503 and lose their connection; open event streams end. What runs
 * goes on. */
void api_refuse_new(struct api *a);
int api_running(const struct api *a);     /* requests that are not answered to their end */
int api_connections(const struct api *a); /* open ones */
void api_stop(struct api *a);             /* no new connections; open event streams end */
void api_free(struct api *a);
