/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/load_facts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char message[] = "cmd_child_to_router:state:";

static bool number(const char *text, double max, double *ret)
{
	char *end = NULL;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || errno != 0 || !isfinite(value) || value < 0 || value > max)
		return false;
	*ret = value;
	return true;
}

/* The stages are loaded one after the other: which one this is, and how many there are. */
static void stage(const char *line, double *ret_index, double *ret_count)
{
	const char *at = strstr(line, "\"stages\":[");
	const char *current = strstr(line, "\"current\":\"");
	const char *end = at ? strchr(at, ']') : NULL;
	int count = 0;

	*ret_index = 0;
	*ret_count = 1;
	if (!end || !current)
		return;
	current += strlen("\"current\":\"");
	for (at = strchr(at, '[') + 1; at < end && *at == '"'; count++) {
		const char *name = at + 1;
		size_t len = strcspn(name, "\"");

		if (strncmp(name, current, len) == 0 && current[len] == '"')
			*ret_index = count;
		at = name + len + (name[len] == '"');
		at += *at == ',';
	}
	if (count > 0)
		*ret_count = count;
}

static void progress(struct load_facts *f, const char *line)
{
	const char *at = strstr(line, "\"value\":");
	double value, index, count;

	if (!at || !number(at + strlen("\"value\":"), 1.0, &value))
		return;
	stage(line, &index, &count);
	value = (index + value) / count;
	if (value > f->fraction)
		f->fraction = value;
}

static void add_device(struct load_facts *f, const char *name)
{
	size_t used = strlen(f->devices);
	size_t len = strcspn(name, " ");

	if (len == 0 || used + len + 2 > sizeof(f->devices))
		return;
	memcpy(f->devices + used, name, len);
	memcpy(f->devices + used + len, " ", 2);
}

/* "using device CUDA0 (NVIDIA …". With split_mode tensor it is a "Meta()" of several, which were
 * named before: " - device 0: CUDA0". */
static bool is_device(const char *line, const char **ret_name)
{
	static const char alone[] = ": using device ", part[] = ": - device ";
	const char *at = strstr(line, alone);

	if (at) {
		*ret_name = at + sizeof(alone) - 1;
		return strncmp(*ret_name, "Meta(", 5) != 0;
	}
	at = strstr(line, part);
	at = at ? strstr(at + sizeof(part) - 1, ": ") : NULL;
	*ret_name = at ? at + 2 : NULL;
	return at != NULL;
}

/* Whose they are: NULL the file's, where it is mapped ("CPU_Mapped"); "CPU", "CPU_REPACK" and
 * "CUDA_Host" are the process's. */
static struct memory_parts *place_of(struct load_facts *f, const char *name, size_t len)
{
	static const char mapped[] = "CPU_Mapped", host[] = "_Host";
	size_t tail = sizeof(host) - 1;

	if (len == sizeof(mapped) - 1 && strncmp(name, mapped, len) == 0)
		return NULL;
	if (strncmp(name, "CPU", 3) == 0 ||
	    (len >= tail && strncmp(name + len - tail, host, tail) == 0))
		return &f->memory.host;
	return &f->memory.device;
}

/* What follows the buffer's name: "model", "KV", "RS", "compute", " output". */
static int64_t *part_of(struct memory_parts *p, const char *what)
{
	what += strspn(what, " ");
	if (strncmp(what, "KV ", 3) == 0 || strncmp(what, "RS ", 3) == 0)
		return &p->cache;
	if (strncmp(what, "compute ", 8) == 0 || strncmp(what, "output ", 7) == 0)
		return &p->compute;
	return &p->weights;
}

/* "load_tensors:      Vulkan0 model buffer size =    92.10 MiB". */
static void add_buffer(struct load_facts *f, const char *line, const char *size)
{
	const char *name = size;
	struct memory_parts *place;
	int64_t *sum;
	size_t len;
	double mib;

	if (!number(size + strlen(" buffer size ="), 1e9, &mib))
		return;
	while (name > line && name[-1] != ':')
		name--;
	name += strspn(name, " ");
	len = strcspn(name, " ");
	if (name >= size)
		return;
	place = place_of(f, name, len);
	sum = place ? part_of(place, name + len) : &f->memory.mapped;
	*sum = memory_plus(*sum, (int64_t)(mib * 1048576.0));
}

/* "31/33 layers to GPU" */
static void note_layers(struct load_facts *f, const char *text)
{
	const char *slash = strchr(text, '/');
	double on, all;

	if (!slash || !number(slash + 1, 1e6, &all) || !number(text, all, &on))
		return;
	f->layers_on = (int)on;
	f->layers = (int)all;
}

bool load_facts_line(struct load_facts *f, const char *line)
{
	const char *at;

	if (strncmp(line, message, sizeof(message) - 1) == 0) {
		if (strstr(line, "\"state\":\"loading\""))
			progress(f, line);
		else if (strstr(line, "\"state\":\"ready\""))
			f->ready = true;
		return true;
	}
	/* What it logs later may quote anything. */
	if (f->ready)
		return false;
	if (is_device(line, &at))
		add_device(f, at);
	else if ((at = strstr(line, ": offloaded ")))
		note_layers(f, at + strlen(": offloaded "));
	else if ((at = strstr(line, " buffer size =")))
		add_buffer(f, line, at);
	return false;
}

bool load_facts_uses(const struct load_facts *f, const char *device)
{
	size_t len = strlen(device);
	const char *at = f->devices;

	while (*at) {
		size_t word = strcspn(at, " ");

		if (word == len && strncmp(at, device, len) == 0)
			return true;
		at += word + 1;
	}
	return false;
}
