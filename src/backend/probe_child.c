/* SPDX-License-Identifier: Apache-2.0 */
/* What the children have in common. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "backend/probe.h"

void *probe_open(const char *library, const struct probe_function *list, size_t count, void *ret)
{
	void *opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!opened) {
		const char *why = dlerror();

		printf("%s\n", why ? why : "no reason given");
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		void *symbol = dlsym(opened, list[i].name);

		if (!symbol && list[i].older)
			symbol = dlsym(opened, list[i].older);
		memcpy((char *)ret + list[i].field, &symbol, sizeof(symbol));
	}
	return opened;
}

int probe_refuse(int code)
{
	printf("refused\t%d\n", code);
	return PROBE_REFUSED;
}
