/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpuinfo.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Which words of "flags" a field needs, all of them. */
static const struct {
	size_t field;
	const char *words[5];
} features[] = {
	{offsetof(struct hardware, avx), {"avx"}},
	{offsetof(struct hardware, avx2), {"avx2"}},
	{offsetof(struct hardware, fma), {"fma"}},
	{offsetof(struct hardware, f16c), {"f16c"}},
	{offsetof(struct hardware, bmi2), {"bmi2"}},
	{offsetof(struct hardware, avx512),
	 {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}},
	{offsetof(struct hardware, avx512_vbmi), {"avx512vbmi"}},
	{offsetof(struct hardware, avx512_vnni), {"avx512_vnni"}},
	{offsetof(struct hardware, avx512_bf16), {"avx512_bf16"}},
	{offsetof(struct hardware, avx_vnni), {"avx_vnni"}},
	{offsetof(struct hardware, amx), {"amx_tile", "amx_int8"}},
};

/* The value of the first line "key<tabs>: value", caller frees; NULL: none. */
static char *value_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, len) == 0 && strchr("\t :", p[len]) != NULL) {
			p += strcspn(p, ":\n");
			p += strspn(p, ": \t");
			return mem_ndup(p, strcspn(p, "\n"));
		}
	}
	return NULL;
}

static bool has_word(const char *padded, const char *word)
{
	char needle[32];

	(void)snprintf(needle, sizeof(needle), " %s ", word);
	return strstr(padded, needle) != NULL;
}

void cpuinfo_parse(const char *text, struct hardware *hw)
{
	CLEANUP(free) char *x86_name = value_of(text, "model name");
	CLEANUP(free) char *board = value_of(text, "Model"); /* ARM names no CPU */
	const char *name = x86_name ? x86_name : board;
	CLEANUP(free) char *flags = value_of(text, "flags");
	CLEANUP(free) char *padded = mem_printf(" %s ", flags ? flags : "");

	(void)snprintf(hw->cpu_name, sizeof(hw->cpu_name), "%s", name ? name : "");
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		bool all = true;

		for (size_t w = 0; w < ARRAY_LEN(features[i].words); w++) {
			const char *word = features[i].words[w];

			all = all && (word == NULL || has_word(padded, word));
		}
		*(bool *)((char *)hw + features[i].field) = all;
	}
}
