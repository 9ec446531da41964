/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/catalog.h"
#include "model/split_name.h"

#define ID_MAX 200
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define OTHERS "._:@+-"
#define RESERVED "loaded" /* GET /llm/api/models/loaded */

bool catalog_id_valid(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= ID_MAX && strspn(id, ALNUM) > 0 &&
	       strspn(id, ALNUM OTHERS) == len && strcmp(id, RESERVED) != 0;
}

char *catalog_id_from_path(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *id = mem_alloc(ID_MAX + 1);
	struct split_name split;
	size_t n = 0;

	(void)split_name_parse(name, &split);
	for (size_t i = 0; i < split.stem && n < ID_MAX; i++) {
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
