/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What llama-server says about itself while it loads: how far it is, which devices it uses, how
 * much memory it took there, and that it is ready. Read from its lines, which are undocumented: a
 * line of another shape is skipped, never an error.
 */

#include <stdbool.h>
#include <stdint.h>

#include "model/memory.h"

struct load_facts {
	double fraction;       /* 0 … 1 of the load, never falls */
	bool ready;            /* said so; by then it has written all that it logged before */
	struct memory memory;  /* its buffers; device: of all others than the CPU */
	int layers_on, layers; /* on devices, of so many; it says so on the CPU too */
	char devices[256];     /* "Vulkan0 Vulkan1 ": each that it said it uses */
};

/* One line of its output, without the newline. True when it was a message to us, not log. */
bool load_facts_line(struct load_facts *f, const char *line);
/* Whether it said that it uses this device. */
bool load_facts_uses(const struct load_facts *f, const char *device);
