/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "model/catalog.h"

#define ID_MAX 200
#define DIGITS "0123456789"
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS
#define OTHERS "._:@+-"
#define RESERVED "loaded" /* GET /llm/api/models/loaded */

bool catalog_id_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= ID_MAX && strspn(id, ALNUM) > 0 &&
	       strspn(id, ALNUM OTHERS) == len && strcmp(id, RESERVED) != 0;
}

/* Where "-00001-of-00003" begins at the end of the name, or the name's end. */
static size_t before_part_number(const char *name, size_t len)
{
	static const char form[] = "-ddddd-of-ddddd";
	size_t tail = strlen(form);

	if (len <= tail)
		return len;
	for (size_t i = 0; i < tail; i++) {
		char c = name[len - tail + i];

		if (form[i] == 'd' ? !strchr(DIGITS, c) : c != form[i])
			return len;
	}
	return len - tail;
}

char *catalog_id_from_path(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t len = strlen(name), n = 0;
	char *id = mem_alloc(ID_MAX + 1);

	if (len > 5 && strcasecmp(name + len - 5, ".gguf") == 0)
		len -= 5;
	len = before_part_number(name, len);
	for (size_t i = 0; i < len && n < ID_MAX; i++) {
		bool plain = strchr(ALNUM OTHERS, name[i]) != NULL;

		if (n == 0 && !strchr(ALNUM, name[i]))
			continue;
		if (plain)
			id[n++] = name[i];
		else if (strchr(ALNUM OTHERS, name[i - 1]))
			id[n++] = '-'; /* one for a whole run */
	}
	if (catalog_id_valid(id))
		return id;
	free(id);
	return mem_dup("model");
}
