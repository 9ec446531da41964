/* SPDX-License-Identifier: Apache-2.0 */
/* Does a chat template let an answer that was begun go on? Some change what they are given, others
 * put tags of reasoning before it: a continued answer would then not be the same. */

#include <string.h>

#include "base/http.h"
#include "worker/worker_priv.h"

#define WAIT_MS 5000
#define QUESTION "{\"role\":\"user\",\"content\":\"Hello\"}"
#define BEGINNING " Well, "

static bool render(const struct worker *w, const char *body, struct http_response *ret)
{
	struct http_request ask = {.socket = w->socket,
				   .url = "http://localhost/apply-template",
				   .body = body,
				   .timeout_ms = WAIT_MS};
	struct err ignored = {0};

	return http_fetch(&ask, ret, &ignored) && ret->status == 200 && ret->len > 2;
}

/* The prompt for the rest must be the prompt for all of it, then the beginning. Both come as
 * {"prompt":"…"}. */
bool worker_find_continues(const struct worker *w)
{
	CLEANUP(http_response_done) struct http_response plain = {0};
	CLEANUP(http_response_done) struct http_response begun = {0};
	size_t len = strlen(BEGINNING);

	if (!render(w, "{\"messages\":[" QUESTION "]}", &plain) ||
	    !render(w,
		    "{\"messages\":[" QUESTION ",{\"role\":\"assistant\",\"content\":\"" BEGINNING
		    "\"}],"
		    "\"add_generation_prompt\":false,\"continue_final_message\":true}",
		    &begun))
		return false;
	return begun.len == plain.len + len && memcmp(begun.body, plain.body, plain.len - 2) == 0 &&
	       memcmp(begun.body + plain.len - 2, BEGINNING "\"}", len + 2) == 0;
}
