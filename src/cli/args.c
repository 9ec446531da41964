/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <string.h>

#include "base/mem.h"

/* Finds name (len bytes) among the known flags; *takes_value says which kind it is. Returns the
 * flag's name in `known`, NULL when it is not there. */
static const char *look_up(const char *known, const char *name, size_t len, bool *takes_value)
{
	while (*known) {
		size_t word = strcspn(known, " =");

		*takes_value = known[word] == '=';
		if (word == len && strncmp(known, name, len) == 0)
			return known;
		known += word + (*takes_value ? 1 : 0);
		known += strspn(known, " ");
	}
	return NULL;
}

static bool add_flag(char **argv, int *i, const char *known, struct args *a, struct err *e)
{
	const char *text = argv[*i] + 2, *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	bool takes_value = false;
	const char *value = equals ? equals + 1 : NULL;
	const char *name = look_up(known, text, len, &takes_value);

	if (!name)
		return err_set(e, ERR_INVALID, "unknown flag '--%.*s'", (int)len, text);
	if (!takes_value && value)
		return err_set(e, ERR_INVALID, "--%.*s takes no value", (int)len, text);
	if (takes_value && !value && !(value = argv[*i + 1]))
		return err_set(e, ERR_INVALID, "--%.*s needs a value", (int)len, text);
	if (takes_value && !equals)
		(*i)++;
	if (a->flag_count == (int)ARRAY_LEN(a->flags))
		return err_set(e, ERR_INVALID, "too many flags");
	a->flags[a->flag_count].name = name;
	a->flags[a->flag_count++].value = value;
	return true;
}

bool args_parse(int argc, char **argv, const char *known, struct args *ret, struct err *e)
{
	struct args a = {0};
	bool flags = true;

	for (int i = 0; i < argc; i++) {
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (flags && strncmp(argv[i], "--", 2) == 0) {
			if (!add_flag(argv, &i, known, &a, e))
				return false;
		} else if (a.count == ARGS_MAX) {
			return err_set(e, ERR_INVALID, "more than %d words", ARGS_MAX);
		} else {
			a.words[a.count++] = argv[i];
		}
	}
	*ret = a;
	return true;
}

static int find(const struct args *a, const char *flag)
{
	size_t len = strlen(flag);

	for (int i = a->flag_count - 1; i >= 0; i--) {
		if (strncmp(a->flags[i].name, flag, len) == 0 &&
		    strcspn(a->flags[i].name, " =") == len)
			return i;
	}
	return -1;
}

bool args_has(const struct args *a, const char *flag)
{
	return find(a, flag) >= 0;
}

const char *args_value(const struct args *a, const char *flag)
{
	int i = find(a, flag);

	return i < 0 ? NULL : a->flags[i].value;
}
