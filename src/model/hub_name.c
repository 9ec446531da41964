/* SPDX-License-Identifier: Apache-2.0 */
#include "model/hub_name.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

enum { WORD_MAX = 96, PART_MAX = 200, DEPTH_MAX = 8 };

/* Of owners and repositories. */
static bool is_word(const char *text, size_t len)
{
	return len > 0 && len <= WORD_MAX && strspn(text, ALNUM) > 0 &&
	       strspn(text, ALNUM "._-") >= len;
}

static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || text[i] == '\\')
			return false;
	return true;
}

bool hub_name_parse(const char *text, struct hub_name *ret, struct err *e)
{
	const char *owner = text + strlen(HUB_PREFIX), *repo, *quant;
	size_t owner_len = strcspn(owner, "/:"), repo_len;

	repo = owner[owner_len] == '/' ? owner + owner_len + 1 : "";
	repo_len = strcspn(repo, "/:");
	quant = repo[repo_len] == ':' ? repo + repo_len + 1 : NULL;
	if (is_word(owner, owner_len) && is_word(repo, repo_len) &&
	    (quant ? quant[0] && strlen(quant) <= PART_MAX && is_printable(quant, strlen(quant))
		   : !repo[repo_len])) {
		*ret = (struct hub_name){.owner = mem_ndup(owner, owner_len),
					 .repo = mem_ndup(repo, repo_len),
					 .quant = mem_dup(quant)};
		return true;
	}
	(void)err_set(e, ERR_INVALID, "'%.150s' is not hf:OWNER/REPO or hf:OWNER/REPO:QUANT", text);
	return err_hint(e, "for example hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M");
}

void hub_name_done(struct hub_name *n)
{
	free(n->owner);
	free(n->repo);
	free(n->quant);
	*n = (struct hub_name){0};
}

bool hub_path_valid(const char *path)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		size_t len = strcspn(path, "/");

		if (len == 0 || len > PART_MAX || path[0] == '.' || !is_printable(path, len))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
	return false;
}

char *hub_path_escape(const char *path)
{
	CLEANUP(buf_done) struct buf b = {0};

	for (; *path; path++) {
		if (strchr(ALNUM "-._~/", *path))
			buf_add(&b, path, 1);
		else
			buf_printf(&b, "%%%02X", (unsigned int)(unsigned char)*path);
	}
	return buf_steal(&b);
}
