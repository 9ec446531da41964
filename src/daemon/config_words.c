/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that are lists. */

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/config.h"

void config_words(const char *text, struct strv *ret)
{
	const char *p = text ? text : "";

	while (*p) {
		size_t len = strcspn(p, ", \t");

		if (len > 0) {
			CLEANUP(free) char *word = mem_ndup(p, len);

			strv_add(ret, word);
		}
		p += len;
		p += strspn(p, ", \t");
	}
}

/* One word, at *p, which moves behind it; double quotes keep spaces together and go away. */
static bool take_word(const char **p, struct buf *word, struct err *e)
{
	bool quoted = false;
	const char *c = *p;

	for (; *c != '\0' && (quoted || !isblank((unsigned char)*c)); c++) {
		if (*c == '"')
			quoted = !quoted;
		else
			buf_add(word, c, 1);
	}
	if (quoted)
		return err_set(e, ERR_INVALID, "a quote is open in '%.64s'", *p);
	*p = c + strspn(c, " \t");
	return true;
}

/* Shunt's own way to a backend: another value would break the promise that a backend is the one
 * asked for. */
static const char *const ours[] = {"GGML_BACKEND_PATH=", "LLAMA_SERVER_ROUTER_PORT="};

static bool check_variable(const char *word, const struct strv *before, struct err *e)
{
	size_t len = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				  "0123456789_");

	if (len == 0 || word[len] != '=' || isdigit((unsigned char)word[0])) {
		(void)err_set(e, ERR_INVALID, "'%.64s' is not NAME=VALUE", word);
		return err_hint(e, "separate by spaces; a value with spaces: NAME=\"a b\"");
	}
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (strncmp(word, ours[i], len + 1) == 0)
			return err_set(e, ERR_INVALID, "'%.*s' is set by Shunt itself", (int)len,
				       word);
	}
	for (size_t i = 0; i < before->count; i++) {
		if (strncmp(word, before->items[i], len + 1) == 0)
			return err_set(e, ERR_INVALID, "'%.*s' is there twice", (int)len, word);
	}
	return true;
}

bool config_variables(const char *text, struct strv *ret, struct err *e)
{
	const char *p = text + strspn(text, " \t");

	while (*p != '\0') {
		CLEANUP(buf_done) struct buf word = {0};

		if (!take_word(&p, &word, e))
			return false;
		if (!check_variable(word.data ? word.data : "", ret, e))
			return false;
		strv_add(ret, word.data);
	}
	return true;
}
