/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cuda_fit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/toolkit.h"
#include "base/mem.h"

#define OLDEST_NVCC "11.7" /* that llama.cpp compiles with */

/* The oldest driver that runs a major version (with minor version compatibility): table 2 of the
 * release notes of the CUDA toolkit. */
static const struct {
	const char *toolkit, *driver;
} drivers[] = {{"13", "580"}, {"12", "525"}, {"11", "450"}};

/* What a release takes and compiles for, until the next row: the newest gcc and clang by the
 * installation guide's "host compiler support policy", which crt/host_config.h enforces, and the
 * GPUs by `nvcc --list-gpu-code`. */
/* clang-format off */
static const struct release {
	const char *nvcc;
	int gcc, clang;
	int oldest, newest; /* architectures */
} releases[] = {
	{"13.0", 15, 20, 75, 121},
	{"12.9", 14, 19, 50, 121},
	{"12.8", 14, 19, 50, 120},
	{"12.6", 13, 18, 50,  90},
	{"12.4", 13, 17, 50,  90},
	{"12.3", 12, 16, 50,  90},
	{"12.1", 12, 15, 50,  90},
	{"12.0", 12, 14, 50,  90},
	{"11.8", 11, 14, 35,  90},
	{"11.7", 11, 13, 35,  87},
};
/* clang-format on */

/* --- architectures ---------------------------------------------------------------------------- */

bool cuda_add_arch(struct cuda_facts *f, const char *text, const char *name)
{
	struct cuda_arch new = {.number = (int)strtol(text, NULL, 10)};
	size_t at = 0;

	(void)snprintf(new.text, sizeof(new.text), "%s", text);
	(void)snprintf(new.name, sizeof(new.name), "%s", name);
	while (at < f->arch_count &&
	       (f->archs[at].number < new.number ||
		(f->archs[at].number == new.number &&strcmp(f->archs[at].text, text) < 0)))
		at++;
	if (at < f->arch_count && strcmp(f->archs[at].text, text) == 0)
		return true;
	if (f->arch_count == CUDA_ARCH_MAX)
		return false;
	memmove(&f->archs[at + 1], &f->archs[at], (f->arch_count - at) * sizeof(new));
	f->archs[at] = new;
	f->arch_count++;
	return true;
}

/* "90", "90a", "120f": two or three digits, perhaps a letter for what only that GPU has. */
static bool is_arch(const char *text, size_t len)
{
	size_t digits = strspn(text, "0123456789");

	return (digits == 2 || digits == 3) && text[0] != '0' &&
	       (digits == len || (digits + 1 == len && strchr("af", text[digits]) != NULL));
}

bool cuda_parse_archs(const char *text, struct cuda_facts *f, struct err *e)
{
	const char *at = text + strspn(text, ",; ");

	while (*at != '\0') {
		size_t len = strcspn(at, ",; ");
		char one[8] = "";

		if (!is_arch(at, len)) {
			(void)err_set(e, ERR_INVALID, "'%.*s' is no architecture of CUDA",
				      (int)(len < 32 ? len : 32), at);
			return err_hint(e, "90 for compute capability 9.0, several as 86,90");
		}
		memcpy(one, at, len);
		if (!cuda_add_arch(f, one, ""))
			return err_set(e, ERR_INVALID, "more than %d architectures", CUDA_ARCH_MAX);
		at += len;
		at += strspn(at, ",; ");
	}
	return f->arch_count > 0 || err_set(e, ERR_INVALID, "no architecture is given");
}

/* --- rules ------------------------------------------------------------------------------------ */

const char *cuda_driver_for(const char *nvcc)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strtol(nvcc, NULL, 10) >= strtol(drivers[i].toolkit, NULL, 10))
			return drivers[i].driver;
	}
	return "any";
}

const char *cuda_of_driver(const char *driver)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (toolkit_version_cmp(driver, drivers[i].driver) >= 0)
			return drivers[i].toolkit;
	}
	return "";
}

static bool fits_driver(const char *nvcc, const struct cuda_facts *f, struct err *e)
{
	int wants = (int)strtol(nvcc, NULL, 10);

	if (f->newest[0] == '\0' || wants <= strtol(f->newest, NULL, 10))
		return true;
	(void)err_set(e, ERR_TOOLKIT, "CUDA %s needs driver %s or newer, %s runs CUDA up to %s",
		      nvcc, cuda_driver_for(nvcc), f->driver, f->newest);
	return err_hint(e, "install NVIDIA's driver %s or newer, or a CUDA toolkit %.2s.x",
			cuda_driver_for(nvcc), f->newest);
}

static bool fits_compiler(const char *nvcc, const struct release *r, const struct cuda_facts *f,
			  struct err *e)
{
	bool clang = strncmp(f->compiler, "clang ", 6) == 0;
	const char *family = clang ? "clang" : "gcc";
	int limit = clang ? r->clang : r->gcc;
	char version[32];

	if (!toolkit_version(f->compiler, NULL, version, sizeof(version)) ||
	    strtol(version, NULL, 10) <= limit)
		return true;
	(void)err_set(e, ERR_TOOLKIT, "CUDA %s takes %s up to %d, this is %s", nvcc, family, limit,
		      version);
	return err_hint(e, "put %s %d in PATH as c++ and cc, or install a newer CUDA toolkit",
			family, limit);
}

/* The first release that knows the architecture. */
static const char *release_for(int arch)
{
	const char *found = releases[0].nvcc;

	for (size_t i = 0; i < ARRAY_LEN(releases); i++) {
		if (releases[i].newest >= arch)
			found = releases[i].nvcc;
	}
	return found;
}

static bool fits_gpu(const char *nvcc, const struct release *r, const struct cuda_arch *a,
		     struct err *e)
{
	if (a->number > r->newest && r != &releases[0]) {
		(void)err_set(e, ERR_TOOLKIT, "CUDA %s does not know architecture %s%s%s", nvcc,
			      a->text, a->name[0] ? " of " : "", a->name);
		return err_hint(e, "install a CUDA toolkit %s or newer", release_for(a->number));
	}
	if (a->number < r->oldest) {
		(void)err_set(e, ERR_TOOLKIT, "CUDA %s has dropped architecture %s%s%s", nvcc,
			      a->text, a->name[0] ? " of " : "", a->name);
		return err_hint(e,
				"install a CUDA toolkit 12.x, or leave that GPU out with --arch");
	}
	return true;
}

/* Of one not older than the oldest. */
static const struct release *release_of(const char *nvcc)
{
	const struct release *r = releases;

	while (toolkit_version_cmp(nvcc, r->nvcc) < 0 && r < &releases[ARRAY_LEN(releases) - 1])
		r++;
	return r;
}

char *cuda_limits(const char *nvcc)
{
	const struct release *r = release_of(nvcc);

	return mem_printf("gcc up to %d, clang up to %d", r->gcc, r->clang);
}

bool cuda_fits(const char *nvcc, const struct cuda_facts *f, struct err *e)
{
	const struct release *r = release_of(nvcc);

	if (toolkit_version_cmp(nvcc, OLDEST_NVCC) < 0) {
		(void)err_set(e, ERR_TOOLKIT, "nvcc %s is too old for llama.cpp", nvcc);
		return err_hint(e, "install a newer CUDA toolkit");
	}
	if (!fits_driver(nvcc, f, e) || !fits_compiler(nvcc, r, f, e))
		return false;
	for (size_t i = 0; i < f->arch_count; i++) {
		if (!fits_gpu(nvcc, r, &f->archs[i], e))
			return false;
	}
	return true;
}
