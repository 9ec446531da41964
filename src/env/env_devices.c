/* SPDX-License-Identifier: Apache-2.0 */
#include "env/env_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/hardware.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "env/verify_crash.h"

#define TRIES 3
#define QUIET_MS 120000 /* a driver may compile something for its first visitor */

/* "123 MiB": bytes, −1 when it is none. */
static int64_t mebibytes(const char *text, const char *after)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (end == text || n < 0 || n > INT64_MAX >> 20 || strncmp(end, after, strlen(after)) != 0)
		return -1;
	return (int64_t)n << 20;
}

static void copy(char *to, size_t size, const char *from, size_t len)
{
	(void)snprintf(to, size, "%.*s", (int)len, from);
}

/* "  Vulkan0: NAME (T MiB, F MiB free)"; NAME may hold colons and brackets. */
static bool parse_line(const char *line, size_t len, struct env_device *ret)
{
	CLEANUP(free) char *text = mem_ndup(line, len);
	char *name = text + strspn(text, " "), *colon = strstr(name, ": "), *memory = NULL;
	struct env_device d = {0};
	const char *comma;

	for (char *p = colon; p && (p = strstr(p, " (")); p++)
		memory = p;
	if (name == text || !memory || !(comma = strstr(memory, ", ")))
		return false;
	d.total_bytes = mebibytes(memory + 2, " MiB, ");
	d.free_bytes = mebibytes(comma + 2, " MiB free)");
	if (d.total_bytes < 0 || d.free_bytes < 0 ||
	    (size_t)(colon - name) >= sizeof(d.name)) /* a cut name would be another device */
		return false;
	copy(d.name, sizeof(d.name), name, (size_t)(colon - name));
	copy(d.title, sizeof(d.title), colon + 2, (size_t)(memory - colon - 2));
	*ret = d;
	return true;
}

/* --- whose memory ------------------------------------------------------- */

/* What ggml-vulkan logs about this device: "ggml_vulkan: 0 = NAME (DRIVER) | uma: 1 | …" for an
 * integrated GPU, a warning in the next line for a CPU that plays one. */
static void read_log(const char *text, const char *prefix, struct env_device *d)
{
	static const char tag[] = "ggml_vulkan: ", shared[] = " | uma: 1 ";
	static const char cpu[] = "ggml_vulkan: Warning: Device type is CPU";

	for (const char *p = text; (p = strstr(p, tag)) != NULL;) {
		const char *end = p + strcspn(p, "\n"), *next = end + strcspn(end, "g");
		const char *uma = strstr(p, shared);
		char name[48];

		p += sizeof(tag) - 1;
		(void)snprintf(name, sizeof(name), "%s%.*s", prefix, (int)strspn(p, "0123456789"),
			       p);
		if (strcmp(name, d->name) != 0)
			continue;
		d->software = strncmp(next, cpu, sizeof(cpu) - 1) == 0;
		d->in_ram = d->software || (uma && uma < end);
		return;
	}
}

static bool is_as_large(int64_t device, int64_t memory)
{
	int64_t differ = device > memory ? device - memory : memory - device;

	return memory > 0 && differ <= memory / 20;
}

size_t env_devices_parse(const char *text, const struct backend *b, int64_t memory_bytes,
			 struct env_device **ret)
{
	struct env_device *list = NULL, d;
	size_t count = 0;

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (!parse_line(line, strcspn(line, "\n"), &d) || !backend_owns_device(b, d.name))
			continue;
		read_log(text, b->device_prefix, &d);
		d.in_ram = d.in_ram || is_as_large(d.total_bytes, memory_bytes);
		list = mem_grow(list, count + 1, sizeof(*list));
		list[count++] = d;
	}
	*ret = list;
	return count;
}

static void the_cpu(struct env_device **ret, size_t *ret_count)
{
	struct env_device *d = mem_alloc(sizeof(*d));
	struct hardware hw;

	hardware_read(&hw);
	(void)snprintf(d->name, sizeof(d->name), "none");
	(void)snprintf(d->title, sizeof(d->title), "%s", hw.cpu_name);
	d->total_bytes = hw.memory_bytes;
	d->free_bytes = hw.memory_free_bytes;
	d->in_ram = true;
	*ret = d;
	*ret_count = 1;
}

struct listener {
	struct buf output;
	bool (*cancelled)(void *arg);
	void *arg;
};

static void add_line(void *arg, const char *line)
{
	struct listener *l = arg;

	buf_printf(&l->output, "%s\n", line);
}

static bool is_cancelled(void *arg)
{
	const struct listener *l = arg;

	return l->cancelled && l->cancelled(l->arg);
}

/* The level of "0.00.004.227 E ggml_cuda_init: …"; NULL: a line without one. */
static const char *level_of(const char *line)
{
	const char *level = line + strspn(line, "0123456789.");

	return level > line && level[0] == ' ' && level[1] && level[2] == ' ' ? level + 1 : NULL;
}

/* What a line complains of, without time and level. */
static void add_complaint(struct buf *b, const char *line)
{
	const char *level = level_of(line), *text = level ? level + 2 : line;
	size_t len = strcspn(text, "\n");

	if (len > 0 && !(level && (*level == 'I' || *level == 'D')))
		buf_printf(b, "%s%.*s", b->len > 0 ? "; " : "", (int)len, text);
}

static bool none(const struct backend *b, const char *output, struct err *e)
{
	CLEANUP(buf_done) struct buf said = {0};

	for (const char *line = output; *line && strncmp(line, "Available devices:", 18) != 0;
	     line += strcspn(line, "\n"), line += *line == '\n')
		add_complaint(&said, line);
	(void)err_set(e, ERR_UNAVAILABLE, "no %s device: the module loads, but finds none%s%.200s",
		      b->title, said.len > 0 ? ": " : "", said.len > 0 ? said.data : "");
	return err_hint(e, "shunt doctor %s names the driver that is missing", b->name);
}

/* llama-server logs in a thread, which may not be done when it exits: some of the words about the
 * devices are lost then, the list itself is not. */
static bool is_whole(const char *text)
{
	return !strstr(text, "  Vulkan") || strstr(text, "ggml_vulkan: ");
}

static bool list_devices(const struct env_run *run, bool (*cancelled)(void *), void *arg,
			 char **ret_text, struct err *e)
{
	CLEANUP(free) char *program = fs_join(run->base_dir, "llama-server");
	/* -lv 5: the backend's own words about the devices; they must stand before. */
	const char *const argv[] = {program, "-lv", "5", "--list-devices", NULL};
	struct listener listener = {.cancelled = cancelled, .arg = arg};
	struct proc_run ask = {
		.argv = argv,
		.env = strv_items(&run->environ),
		.cwd = run->base_dir, /* modules are looked for in the working folder too */
		.quiet_ms = QUIET_MS,
		.on_line = add_line,
		.cancelled = is_cancelled,
		.arg = &listener,
	};
	int status = 0;
	bool ok = proc_run(&ask, &status, e);
	char *text = buf_steal(&listener.output);

	if (!ok)
		(void)err_wrap(e, "asking for the %s devices", run->backend->title);
	else if (status != 0)
		ok = verify_crash("llama-server --list-devices", status, text, e);
	free(*ret_text);
	*ret_text = text;
	return ok;
}

bool env_devices_ask(const struct env_run *run, bool (*cancelled)(void *), void *arg,
		     struct env_device **ret, size_t *ret_count, struct err *e)
{
	CLEANUP(free) char *text = NULL;
	struct hardware hw;

	if (!run->backend->device_prefix) {
		the_cpu(ret, ret_count);
		return true;
	}
	for (int i = 0; i < TRIES && (!text || !is_whole(text)); i++)
		if (!list_devices(run, cancelled, arg, &text, e))
			return false;
	hardware_read(&hw);
	*ret_count = env_devices_parse(text, run->backend, hw.memory_bytes, ret);
	return *ret_count > 0 || none(run->backend, text, e);
}
