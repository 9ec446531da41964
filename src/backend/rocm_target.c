/* SPDX-License-Identifier: Apache-2.0 */
/* Names of AMD's GPUs: those of the kernel, of rocBLAS, of HSA_OVERRIDE_GFX_VERSION. */

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/rocm.h"
#include "base/fs.h"
#include "base/mem.h"

/* gfx1036: major 10, minor 3, step 6; the last two are hexadecimal digits. */
struct gfx {
	int major, minor, step;
};

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c - 'a' + 10;
}

static bool parse(const char *name, size_t len, struct gfx *ret)
{
	if (len < 6 || len > 8 || strncmp(name, "gfx", 3) != 0)
		return false;
	for (size_t i = 3; i < len; i++)
		if (!isdigit((unsigned char)name[i]) &&
		    (i < len - 2 || name[i] < 'a' || name[i] > 'f'))
			return false;
	*ret = (struct gfx){.minor = hex_digit(name[len - 2]), .step = hex_digit(name[len - 1])};
	for (size_t i = 3; i < len - 2; i++)
		ret->major = 10 * ret->major + name[i] - '0';
	return true;
}

void rocm_add(struct buf *list, const char *name)
{
	CLEANUP(strv_done) struct strv names = {0};

	rocm_each(list->data, &names);
	for (size_t i = 0; i < names.count; i++)
		if (strcmp(names.items[i], name) == 0)
			return;
	buf_printf(list, "%s%s", list->len ? ";" : "", name);
}

void rocm_each(const char *list, struct strv *ret)
{
	CLEANUP(free) char *copy = mem_dup(list);
	char *rest = copy, *name;

	while (rest && (name = strsep(&rest, ";")))
		if (name[0])
			strv_add(ret, name);
}

/* 100306 is gfx1036. */
void rocm_target(const char *properties, struct buf *b)
{
	char name[24];
	const char *p = strstr(properties, "gfx_target_version ");
	long v = p ? strtol(p + strlen("gfx_target_version "), NULL, 10) : 0;

	if (v <= 0)
		return; /* a CPU */
	(void)snprintf(name, sizeof(name), "gfx%ld%lx%lx", v / 10000, v / 100 % 100, v % 100);
	rocm_add(b, name);
}

bool rocm_parse_archs(const char *text, struct buf *list, struct err *e)
{
	CLEANUP(free) char *copy = mem_dup(text);
	char *rest = NULL;
	struct gfx parsed;

	for (char *name = strtok_r(copy, ",; ", &rest); name; name = strtok_r(NULL, ",; ", &rest)) {
		if (!parse(name, strlen(name), &parsed)) {
			(void)err_set(e, ERR_INVALID, "'%.32s' is no architecture of AMD's", name);
			return err_hint(e, "as the compiler names them, with commas between: "
					   "gfx1030,gfx1100");
		}
		rocm_add(list, name);
	}
	return list->len > 0 || err_set(e, ERR_INVALID, "no architecture is given");
}

/* --- reading ------------------------------------------------------------ */

static void read_gpus(const char *root, struct buf *b)
{
	CLEANUP(free)
	char *pattern = mem_printf("%s/sys/class/kfd/kfd/topology/nodes/*/properties", root);
	glob_t nodes = {0};

	if (glob(pattern, 0, NULL, &nodes) == 0) {
		for (size_t i = 0; i < nodes.gl_pathc; i++) {
			CLEANUP(free) char *text = NULL;
			struct err e = {0};

			if (fs_read(nodes.gl_pathv[i], 1 << 16, &text, NULL, &e))
				rocm_target(text, b);
		}
	}
	globfree(&nodes);
}

/* A file's name ends with the GPU's that it is for: Kernels.so-000-gfx1030.hsaco, and some with
 * features, gfx90a-xnack+. */
static bool read_kernel(void *arg, const char *file, struct err *e)
{
	struct buf *b = arg;
	const char *gfx = strstr(file, "gfx");
	size_t len = gfx ? 3 + strspn(gfx + 3, "0123456789abcdef") : 0;
	struct gfx parsed;

	if (gfx && parse(gfx, len, &parsed)) {
		CLEANUP(free) char *name = mem_ndup(gfx, len);

		rocm_add(b, name);
	}
	return true;
}

static void read_kernels(const char *root, struct buf *b)
{
	static const char *const folders[] = {
		"/opt/rocm/lib/rocblas/library", "/usr/lib/*/rocblas/*/library",
		"/usr/lib/*/rocblas/library",    "/usr/lib64/rocblas/library",
		"/usr/lib/rocblas/library",
	};

	for (size_t i = 0; i < ARRAY_LEN(folders) && b->len == 0; i++) {
		CLEANUP(free) char *pattern = mem_printf("%s%s", root, folders[i]);
		struct err ignored = {0};
		glob_t found = {0};

		if (glob(pattern, 0, NULL, &found) == 0)
			(void)!fs_each(found.gl_pathv[0], read_kernel, b, &ignored);
		globfree(&found);
	}
}

void rocm_read(const char *root, struct rocm_targets *ret)
{
	*ret = (struct rocm_targets){0};
	read_gpus(root, &ret->gpus);
	read_kernels(root, &ret->kernels);
}

void rocm_targets_done(struct rocm_targets *t)
{
	buf_done(&t->gpus);
	buf_done(&t->kernels);
}

/* --- relatives ---------------------------------------------------------- */

/* Of one generation and its part of it, the first has what all have (10.3: gfx1030); of the 11th,
 * the parts are alike enough, too. */
static bool runs_on(const struct gfx *gpu, const struct gfx *code)
{
	if (gpu->major != code->major)
		return false;
	return (gpu->minor == code->minor && code->step == 0) ||
	       (gpu->major == 11 && code->minor == 0 && code->step == 0);
}

bool rocm_relative(const char *gfx, const char *kernels, char *ret, size_t size)
{
	CLEANUP(strv_done) struct strv names = {0};
	const char *found = NULL;
	struct gfx gpu, code;

	rocm_each(kernels, &names);
	if (names.count == 0)
		found = gfx;
	for (size_t i = 0; i < names.count; i++) {
		const char *n = names.items[i];

		if (strcmp(n, gfx) == 0)
			found = gfx;
		else if (!found && parse(gfx, strlen(gfx), &gpu) && parse(n, strlen(n), &code) &&
			 runs_on(&gpu, &code))
			found = n;
	}
	if (found)
		(void)snprintf(ret, size, "%s", found);
	return found != NULL;
}

void rocm_override(const char *gfx, char *ret, size_t size)
{
	struct gfx g;

	if (parse(gfx, strlen(gfx), &g))
		(void)snprintf(ret, size, "%d.%d.%d", g.major, g.minor, g.step);
	else
		ret[0] = '\0';
}
