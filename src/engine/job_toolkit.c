/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder that CMake takes for an installed CUDA toolkit: links to all that the two pieces from
 * pip have, the plain names that a linker looks for, and a stub of the driver's library. In the
 * stage, so that pieces stay as their packages have them.
 */

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "engine/job.h"

struct linking {
	const char *from, *to; /* folders */
};

/* "libcudart.so.13" is "libcudart.so" too. */
static bool link_plain(const struct linking *l, const char *name, struct err *e)
{
	const char *end = strstr(name, ".so.");
	CLEANUP(free) char *plain = end ? mem_ndup(name, (size_t)(end - name) + 3) : NULL;
	CLEANUP(free) char *path = plain ? fs_join(l->to, plain) : NULL;

	return !plain || fs_link(name, path, e);
}

static bool link_entry(void *arg, const char *name, struct err *e)
{
	const struct linking *l = arg;
	CLEANUP(free) char *target = fs_join(l->from, name);
	CLEANUP(free) char *path = fs_join(l->to, name);

	return fs_link(target, path, e) && link_plain(l, name, e);
}

/* One of bin, include, lib, nvvm. */
static bool link_folder(void *arg, const char *name, struct err *e)
{
	const struct linking *l = arg;
	CLEANUP(free) char *from = fs_join(l->from, name);
	CLEANUP(free) char *to = fs_join(l->to, name);
	struct linking in = {.from = from, .to = to};

	return fs_mkdirs(to, 0700, e) && fs_each(from, link_entry, &in, e);
}

static bool link_piece(struct job *j, const char *digest, struct err *e)
{
	CLEANUP(free) char *piece = store_path(j->store, digest);
	CLEANUP(free) char *root = fs_join(piece, j->en->pin->cuda_root);
	struct linking l = {.from = root, .to = j->toolkit};

	return fs_each(root, link_folder, &l, e);
}

static bool make_stub(struct job *j, struct err *e)
{
	CLEANUP(free) char *source = engine_cuda_stub(j->en);
	CLEANUP(free) char *folder = fs_join(j->toolkit, "lib/stubs");
	CLEANUP(free) char *library = fs_join(folder, "libcuda.so");
	CLEANUP(strv_done) struct strv argv = {0};
	int status = -1;

	if (!fs_mkdirs(folder, 0700, e))
		return false;
	strv_add(&argv, j->tools.cc);
	strv_add(&argv, "-shared");
	strv_add(&argv, "-fPIC");
	strv_add(&argv, "-Wl,-soname,libcuda.so.1");
	strv_add(&argv, "-o");
	strv_add(&argv, library);
	strv_add(&argv, source);
	if (!job_tool(j, &argv, NULL, &status, e))
		return false;
	return status == 0 || complaint_err(&j->complaint, ERR_BUILD,
					    "making a stub of NVIDIA's driver library failed", e);
}

bool job_toolkit(struct job *j, struct err *e)
{
	CLEANUP(free) char *lib64 = fs_join(j->toolkit, "lib64");

	if (j->r->compiler[0] == '\0')
		return true;
	return fs_remove_tree(j->toolkit, e) && fs_mkdirs(j->toolkit, 0700, e) &&
	       link_piece(j, j->r->libraries, e) && link_piece(j, j->r->compiler, e) &&
	       fs_link("lib", lib64, e) && make_stub(j, e);
}
