/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The worker's answer as microhttpd's response: whole when it is small, else as it comes; in the
 * dialect's words where it has its own. Those that say nothing else take the exchange. */

#include <microhttpd.h>

#include "gateway/exchange.h"

/* The head of the answer is there. */
enum MHD_Result relay_answer(struct exchange *ex, struct MHD_Connection *c);
/* A stream that has waited long: events begin now (status 200), and the waiting goes on there. */
enum MHD_Result relay_waiting(struct exchange *ex, struct MHD_Connection *c);
/* What is in its lines; borrows the exchange. */
enum MHD_Result relay_lines(struct exchange *ex, struct MHD_Connection *c);
/* The next piece of what the two above began, as microhttpd asks for it: may block, never answers
 * 0; MHD_CONTENT_READER_END_… at the end. */
ssize_t relay_next(void *exchange, uint64_t pos, char *out, size_t size);
/* param: the field that was wrong, or NULL. A client that has gone gets nothing. */
enum MHD_Result relay_error(const struct dialect *d, const struct err *e, const char *param,
			    struct MHD_Connection *c);
