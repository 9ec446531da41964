/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests of inference, in OpenAI's, Anthropic's and Ollama's form: find the route, hold or queue,
 * proxy to the worker's Unix socket, streaming included: byte for byte, but for Ollama's, which are
 * translated. Runs in the HTTP server's connection thread (microhttpd, one thread per connection);
 * lane.h has the short way.
 */

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "switch/route.h"
#include "switch/switch.h"

struct gateway;
struct gateway *gateway_new(struct routes *routes, struct switcher *switcher);
void gateway_free(struct gateway *g);
/* The daemon stops: requests under way end with an error. Any thread. */
void gateway_cut_all(struct gateway *g);
/* How long a stream waits before it hears a sign of life, and between two: default 5 s. Set before
 * the first request. */
void gateway_set_tick(struct gateway *g, int64_t tick_ms);
/* May workers fetch the images and sound that a request only names? Default: no. Set before the
 * first request. */
void gateway_set_fetch_media(struct gateway *g, bool fetch);

/* Is this path (without query) one the gateway proxies? The API serves GET /v1/models. paths.c has
 * the list. */
bool gateway_owns(const char *path);
bool gateway_takes_form(const char *path); /* its body is multipart/form-data */
/* The i-th of these paths and what it is for; NULL: there are no more. */
const char *gateway_path_at(size_t i, const char **ret_summary);
/* The whole request is in memory; the body stays there until the request has ended
 * (NOTIFY_COMPLETED): a stream that waits long sends it to the worker later. Queues the response
 * (also for errors, in the format of the path's clients). client_fd: to notice that it left.
 * MHD_NO: the client has gone. */
enum MHD_Result gateway_handle(struct gateway *g, struct MHD_Connection *c, int client_fd,
			       const char *method, const char *path, const char *body,
			       size_t body_len);
/* An error in the format of the path's clients, as a response; the caller queues it. */
struct MHD_Response *gateway_error(const char *path, const struct err *e);
