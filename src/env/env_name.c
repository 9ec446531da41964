/* SPDX-License-Identifier: Apache-2.0 */
#include "env/env_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

#define SLUG_WHOLE 120
#define SLUG_KEPT 110
#define SLUG_HASH 8

/* How file names end that tell nothing but the quantisation; '#' is one digit. */
static const char *const marks[] = {
	"Q#_#",    "Q#_#_#_#", "Q#_K",      "Q#_K_S",    "Q#_K_M",     "Q#_K_L",
	"Q#_K_XL", "Q#_K_XXL", "IQ#_XXS",   "IQ#_XS",    "IQ#_S",      "IQ#_M",
	"IQ#_L",   "IQ#_NL",   "IQ#_XL",    "TQ#_#",     "Q#",         "F16",
	"FP16",    "BF16",     "F32",       "FP32",      "F64",        "MXFP4",
	"NVFP4",   "FP8",      "MXFP4_MOE", "IQ#_NL_XL", "IQ#_NL_#_#",
};
/* What publishers put before such a mark: Unsloth's dynamic ones, "weighted" with a matrix. */
static const char *const prefixes[] = {"UD", "i1", "imat"};

static bool matches(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++) {
		if (*pattern == '#'
			    ? !isdigit((unsigned char)*text)
			    : toupper((unsigned char)*text) != toupper((unsigned char)*pattern))
			return false;
	}
	return true;
}

/* Length of id without a separator and `mark` at its end; len when it ends otherwise. A name that
 * would be nothing but the mark stays. */
static size_t without(const char *id, size_t len, const char *mark)
{
	size_t n = strlen(mark);

	if (len < n + 2 || !strchr(".-_", id[len - n - 1]) || !matches(id + len - n, mark))
		return len;
	return len - n - 1;
}

static size_t without_any(const char *id, size_t len, const char *const *list, size_t count)
{
	size_t left = len;

	for (size_t i = 0; i < count && left == len; i++)
		left = without(id, len, list[i]);
	return left;
}

/* Length of the part that names the model. */
static size_t model_part(const char *id)
{
	size_t len = strlen(id), bare;

	if (len > 5 && matches(id + len - 5, ".gguf"))
		len -= 5;
	bare = without_any(id, len, marks, ARRAY_LEN(marks));
	return bare < len ? without_any(id, bare, prefixes, ARRAY_LEN(prefixes)) : len;
}

static char *slug(const char *id, size_t len)
{
	CLEANUP(buf_done) struct buf b = {0};
	bool gap = false;

	for (size_t i = 0; i < len; i++) {
		char c = (char)tolower((unsigned char)id[i]);

		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789", c)) {
			gap = b.len > 0;
			continue;
		}
		if (gap)
			buf_add(&b, "_", 1);
		gap = false;
		buf_add(&b, &c, 1);
	}
	return buf_steal(&b);
}

static void shorten(char *slug)
{
	char hex[HASH_HEX_SIZE];
	struct hash *h = hash_new();
	size_t keep = SLUG_KEPT;

	hash_add(h, slug, strlen(slug));
	hash_hex(h, hex);
	hash_free(h);
	while (keep > 0 && slug[keep - 1] == '_')
		keep--;
	slug[keep] = '_';
	memcpy(slug + keep + 1, hex, SLUG_HASH);
	slug[keep + 1 + SLUG_HASH] = '\0';
}

char *env_name(const char *model_id, const char *backend)
{
	CLEANUP(free) char *s = slug(model_id, model_part(model_id));

	if (strlen(s) > SLUG_WHOLE)
		shorten(s);
	return mem_printf("llm_%s_%s", s, backend);
}
