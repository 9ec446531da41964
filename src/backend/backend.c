/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/backend.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "backend/backends.h"

static const struct backend *const registry[] = {
	&backend_cpu, &backend_cuda, &backend_rocm, &backend_vulkan, NULL,
};

const struct backend *const *backend_all(void)
{
	return registry;
}

/* Is name one of the space-separated words? */
static bool among(const char *words, const char *name)
{
	size_t len = strlen(name);

	while (*words != '\0') {
		size_t word = strcspn(words, " ");

		if (word == len && strncasecmp(words, name, len) == 0)
			return true;
		words += word;
		words += strspn(words, " ");
	}
	return false;
}

const struct backend *backend_find(const char *name)
{
	if (name == NULL || name[0] == '\0' || strchr(name, ' ') != NULL)
		return NULL;
	for (const struct backend *const *b = registry; *b != NULL; b++) {
		if (strcasecmp((*b)->name, name) == 0 || among((*b)->aliases, name))
			return *b;
	}
	return NULL;
}

bool backend_require(const char *name, const struct backend **ret, struct err *e)
{
	CLEANUP(buf_done) struct buf known = {0};
	const struct backend *found = backend_find(name);

	if (found != NULL) {
		*ret = found;
		return true;
	}
	for (const struct backend *const *b = registry; *b != NULL; b++)
		buf_printf(&known, "%s%s", known.len ? ", " : "", (*b)->name);
	return err_set(e, ERR_INVALID, "unknown backend '%.64s' (known: %s)", name ? name : "",
		       known.data);
}

bool backend_owns_device(const struct backend *b, const char *device)
{
	size_t len = b->device_prefix ? strlen(b->device_prefix) : 0;

	if (len == 0 || strncmp(device, b->device_prefix, len) != 0)
		return false;
	device += len;
	return *device != '\0' && device[strspn(device, "0123456789")] == '\0';
}
