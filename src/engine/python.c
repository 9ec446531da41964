/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/python.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/toolkit.h"
#include "base/fs.h"
#include "engine/tools.h"

#define OLDEST "3.9" /* what the pins have files for */

static const char *const packages[DISTRO_COUNT] = {"python3 python3-pip", "python3 python3-pip",
						   "python python-pip", "python3 python3-pip"};

void python_done(struct python *p)
{
	free(p->program);
	*p = (struct python){0};
}

/* Three lines: program, version, ABI. In a venv (or behind a shim) the program is the one that it
 * was made of. */
static bool ask(const char *program, struct python *ret, struct err *e)
{
	static const char question[] =
		"import os, platform, sys, sysconfig;"
		"print(os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable),"
		"platform.python_version(), sysconfig.get_config_var('SOABI'), sep='\\n')";
	const char *const argv[] = {program, "-I", "-S", "-c", question, NULL};
	CLEANUP(free) char *text = toolkit_output(argv);
	char *rest = text;
	const char *path = text ? strsep(&rest, "\n") : NULL;
	const char *version = rest ? strsep(&rest, "\n") : NULL;
	const char *abi = rest ? strsep(&rest, "\n") : NULL;

	if (!abi || path[0] != '/' || strlen(version) >= sizeof(ret->version) ||
	    strlen(abi) >= sizeof(ret->abi)) {
		(void)err_set(e, ERR_TOOLKIT, "'%s' does not answer", program);
		return err_hint(e, "see what '%s --version' says", program);
	}
	ret->program = mem_dup(path);
	memcpy(ret->version, version, strlen(version) + 1);
	memcpy(ret->abi, abi, strlen(abi) + 1);
	return true;
}

bool python_find(struct python *ret, struct err *e)
{
	CLEANUP(free) char *program = fs_which("python3");
	CLEANUP(python_done) struct python p = {0};

	if (!program)
		return tools_missing("there is no python3 in PATH", packages, e);
	if (!ask(program, &p, e))
		return false;
	if (toolkit_version_cmp(p.version, OLDEST) < 0) {
		(void)err_set(e, ERR_TOOLKIT, "'%s' is Python %s, llama-cpp-python needs %s",
			      program, p.version, OLDEST);
		return err_hint(e, "put a newer python3 in PATH");
	}
	*ret = p;
	p = (struct python){0};
	return true;
}

static void describe(const char *path, struct buf *b)
{
	CLEANUP(free) char *real = path ? fs_real(path) : NULL;
	struct stat st;

	if (!real || stat(real, &st) < 0)
		buf_str(b, "none\n");
	else
		buf_printf(b, "%s %" PRIu64 " %" PRId64 " %" PRId64 "\n", real, (uint64_t)st.st_ino,
			   (int64_t)st.st_size, (int64_t)st.st_mtime);
}

char *python_seen(const char *program)
{
	CLEANUP(free) char *found = fs_which("python3");
	struct buf b = {0};

	describe(found, &b);
	describe(program, &b);
	return buf_steal(&b);
}
