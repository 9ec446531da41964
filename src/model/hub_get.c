/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a hub: who asks (the token), how far it is, what went wrong. */

#include <string.h>
#include <strings.h>

#include "base/download.h"
#include "base/fs.h"
#include "model/hub_priv.h"

#define URL_PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:/._~-[]"

enum { PAGE_MAX = 16 << 20, PAGES_MAX = 50 };

bool hub_read_token(struct hub_pull *p, struct err *e)
{
	const char *path = p->s->hf_token_file;
	size_t len;

	if (!path || !path[0])
		return true;
	if (!download_is_private(p->s->hf_endpoint)) {
		(void)err_set(e, ERR_INVALID,
			      "the token of hf_token_file would go to %.200s in clear text",
			      p->s->hf_endpoint);
		return err_hint(e, "set hf_endpoint to its https address, or hf_token_file to "
				   "nothing when it needs none");
	}
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

static bool get(struct hub_pull *p, const struct download *what, struct err *e)
{
	struct download d = *what;

	d.token = p->token;
	d.tries = DOWNLOAD_TRIES;
	d.on_progress = on_bytes;
	d.on_wait = on_wait;
	d.cancelled = hub_cancelled;
	d.arg = p;
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

bool hub_get(struct hub_pull *p, const char *url, const char *path, const char *sha256,
	     int64_t max_bytes, struct err *e)
{
	const struct download d = {.url = url,
				   .path = path,
				   .sha256 = sha256[0] ? sha256 : NULL,
				   .max_bytes = max_bytes};

	return get(p, &d, e);
}

/* --- the list ----------------------------------------------------------- */

static bool add_page(struct hub_pull *p, const char *url, const char *path, json_t *tree,
		     char **ret_next, struct err *e)
{
	const struct download d = {
		.url = url, .path = path, .max_bytes = PAGE_MAX, .ret_next = ret_next};
	CLEANUP(free) char *text = NULL;
	size_t len = 0;
	json_t *page;
	bool ok;

	if (!get(p, &d, e) || !fs_read(path, PAGE_MAX, &text, &len, e))
		return false;
	page = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	ok = json_is_array(page) && json_array_extend(tree, page) == 0;
	json_decref(page);
	if (ok)
		return true;
	(void)err_set(e, ERR_UNAVAILABLE, "the hub's list of %.100s/%.100s is not JSON",
		      p->name.owner, p->name.repo);
	return err_hint(e, "is hf_endpoint right, or a proxy in between?");
}

static char *first_url(const struct hub_pull *p)
{
	return mem_printf("%s/api/models/%s/%s/tree/main?recursive=1", p->s->hf_endpoint,
			  p->name.owner, p->name.repo);
}

/* The token goes there too: only to the hub itself. Takes `next`; NULL: it is elsewhere. */
static char *own_url(const struct hub_pull *p, char *next)
{
	size_t len = strlen(p->s->hf_endpoint);
	CLEANUP(free) char *url = next;

	if (url[0] == '/' && url[1] != '/')
		return mem_printf("%s%s", p->s->hf_endpoint, url);
	return strncasecmp(url, p->s->hf_endpoint, len) == 0 && url[len] == '/' ? STEAL(url) : NULL;
}

/* A part of the list would look like the whole: what is missing would be "not there". */
static bool list_goes_away(const char *where, struct err *e)
{
	size_t len = strspn(where, URL_PLAIN); /* no query, no escape sequence */

	(void)err_set(e, ERR_UNAVAILABLE, "the hub's list goes on at another place: %.*s",
		      (int)(len < 200 ? len : 200), where);
	return err_hint(e, "is hf_endpoint the hub itself, or a mirror that is one in all?");
}

static bool list_too_long(struct err *e)
{
	(void)err_set(e, ERR_TOO_LARGE, "the hub's list has more than %d pages", PAGES_MAX);
	return err_hint(e, "look for a repository of this model alone");
}

/* *url: the page; becomes the next one's, NULL after the last. */
static bool read_page(struct hub_pull *p, char **url, const char *path, json_t *tree, struct err *e)
{
	CLEANUP(free) char *here = STEAL(*url);
	CLEANUP(free) char *next = NULL;

	if (!add_page(p, here, path, tree, &next, e))
		return false;
	if (!next)
		return true;
	*url = own_url(p, mem_dup(next));
	return *url || list_goes_away(next, e);
}

bool hub_read_tree(struct hub_pull *p, const char *path, json_t **ret, struct err *e)
{
	CLEANUP(free) char *url = first_url(p);
	json_t *tree = json_array();
	bool ok = true;

	for (int page = 0; url && ok; page++)
		ok = page < PAGES_MAX ? read_page(p, &url, path, tree, e) : list_too_long(e);
	if (ok)
		*ret = tree;
	else
		json_decref(tree);
	return ok;
}
