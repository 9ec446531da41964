/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a hub: who asks (the token), how far it is, what went wrong. */

#include <string.h>

#include "base/download.h"
#include "base/fs.h"
#include "model/hub_priv.h"

bool hub_read_token(struct hub_pull *p, struct err *e)
{
	const char *path = p->s->hf_token_file;
	size_t len;

	if (!path || !path[0])
		return true;
	if (!fs_read(path, 4096, &p->token, NULL, e))
		return err_wrap(e, "hf_token_file") ||
		       err_hint(e, "the daemon must be able to read it");
	len = strcspn(p->token, " \t\r\n");
	if (len > 0 && strspn(p->token + len, " \t\r\n") == strlen(p->token + len)) {
		p->token[len] = '\0';
		for (const char *c = p->token; *c > 0x20 && *c < 0x7f; c++)
			len--;
		if (len == 0)
			return true;
	}
	(void)err_set(e, ERR_INVALID, "hf_token_file '%.200s' is not one token", path);
	return err_hint(e, "one line that begins with hf_");
}

void hub_progress(struct hub_pull *p, int64_t bytes)
{
	int64_t done = p->before + bytes;
	const double gb = 1e9;

	if (p->total <= 0) /* the list */
		return;
	task_progress(p->task, (double)done / (double)p->total);
	if (p->total >= (int64_t)gb)
		task_title(p->task, "Fetching %s (%.2f of %.2f GB)", p->name.repo,
			   (double)done / gb, (double)p->total / gb);
	else
		task_title(p->task, "Fetching %s (%.1f of %.1f MB)", p->name.repo,
			   (double)done / 1e6, (double)p->total / 1e6);
}

static void on_bytes(void *arg, int64_t done, int64_t total)
{
	(void)total;
	hub_progress(arg, done);
}

static void on_wait(void *arg, const struct err *why, int64_t ms)
{
	struct hub_pull *p = arg;

	task_logf(p->task, "%s; again in %.1f s", why->msg, (double)ms / 1000);
	task_title(p->task, "Waiting %.1f s: %s", (double)ms / 1000, why->msg);
}

bool hub_cancelled(void *arg)
{
	const struct hub_pull *p = arg;

	return task_cancelled(p->task);
}

bool hub_get(struct hub_pull *p, const char *url, const char *path, const char *sha256,
	     int64_t max_bytes, struct err *e)
{
	struct download d = {.url = url,
			     .path = path,
			     .sha256 = sha256[0] ? sha256 : NULL,
			     .token = p->token,
			     .max_bytes = max_bytes,
			     .tries = DOWNLOAD_TRIES,
			     .on_progress = on_bytes,
			     .on_wait = on_wait,
			     .cancelled = hub_cancelled,
			     .arg = p};

	if (download(&d, e))
		return true;
	if (e->kind == ERR_FORBIDDEN || e->kind == ERR_NOT_FOUND)
		e->hint[0] = '\0'; /* we know better */
	if (e->kind == ERR_FORBIDDEN)
		(void)err_hint(e, p->token ? "the token of hf_token_file may not read it: accept "
					     "the model's terms on its page, or use another token"
					   : "a private model, or one with terms to accept, needs "
					     "hf_token_file; check the name");
	if (e->kind == ERR_NOT_FOUND)
		(void)err_hint(e, "check the name; main must have it");
	return false;
}
