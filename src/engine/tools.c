/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/toolkit.h"
#include "base/fs.h"
#include "base/mem.h"

const char *const tools_pip_packages[DISTRO_COUNT] = {"python3-pip", "python3-pip", "python-pip",
						      "python3-pip"};

/* clang-format off */
/* Debian, Fedora, Arch, openSUSE. CMake 3.19: cmake_language(DEFER) in shunt.cmake. */
static const struct toolkit_need cmake  = {"cmake", "3.19", false, {"cmake", "cmake", "cmake", "cmake"}};
static const struct toolkit_need ninja  = {"ninja", "1.8", false, {"ninja-build", "ninja-build", "ninja", "ninja"}};
static const struct toolkit_need cc     = {"C compiler", "any", false, {"gcc", "gcc", "gcc", "gcc"}};
static const struct toolkit_need cxx    = {"C++ compiler", "any", false, {"g++", "gcc-c++", "gcc", "gcc-c++"}};
static const struct toolkit_need patch  = {"patch", "any", false, {"patch", "patch", "patch", "patch"}};
static const struct toolkit_need tar    = {"tar", "any", false, {"tar", "tar", "tar", "tar"}};
static const struct toolkit_need python = {"python3", "any", false, {"python3", "python3", "python", "python3"}};
static const struct toolkit_need pip    = {"pip", "any", false, {"python3-pip", "python3-pip", "python-pip", "python3-pip"}};
/* clang-format on */

static const char *const cmake_names[] = {"cmake", NULL};
static const char *const ninja_names[] = {"ninja", "ninja-build", NULL};
static const char *const cc_names[] = {"cc", "gcc", "clang", NULL};
static const char *const cxx_names[] = {"c++", "g++", "clang++", NULL};

/* The first that is in PATH, caller frees. */
static char *which(const char *const *names)
{
	char *path = NULL;

	for (; *names != NULL && path == NULL; names++)
		path = fs_which(*names);
	return path;
}

/* What `program arg` prints, first line, caller frees; NULL when it fails. */
static char *ask(const char *program, const char *arg)
{
	const char *const argv[] = {program, arg, NULL};
	char *text = toolkit_output(argv);

	if (text != NULL)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

static void check_version(struct toolkit *tk, const struct toolkit_need *need,
			  const char *const *names)
{
	CLEANUP(free) char *path = which(names);
	CLEANUP(free) char *text = path ? ask(path, "--version") : NULL;
	char version[64];

	if (text != NULL && toolkit_version(text, NULL, version, sizeof(version)))
		toolkit_add(tk, need, version);
	else if (path != NULL)
		toolkit_add_unusable(tk, need, "does not run");
	else
		toolkit_add(tk, need, NULL);
}

static void check_presence(struct toolkit *tk, const struct toolkit_need *need)
{
	CLEANUP(free) char *path = fs_which(need->name);

	toolkit_add(tk, need, path);
}

static void check_pip(struct toolkit *tk)
{
	const char *const argv[] = {"python3", "-m", "pip", "--version", NULL};
	CLEANUP(free) char *text = toolkit_output(argv);
	char version[64];

	check_presence(tk, &python);
	if (text == NULL || !toolkit_version(text, "pip ", version, sizeof(version)))
		toolkit_add(tk, &pip, NULL);
	else
		toolkit_add(tk, &pip, version);
}

void tools_check(struct toolkit *tk, bool with_pip)
{
	check_version(tk, &cmake, cmake_names);
	check_version(tk, &ninja, ninja_names);
	check_version(tk, &cc, cc_names);
	check_version(tk, &cxx, cxx_names);
	check_presence(tk, &patch);
	check_presence(tk, &tar);
	if (with_pip)
		check_pip(tk);
}

/* Its family and exact version, without the name it was called by or the distribution's suffix. */
static bool read_compiler(const char *program, char *ret, size_t size)
{
	CLEANUP(free) char *banner = ask(program, "--version");
	bool clang = banner != NULL && strstr(banner, "clang") != NULL;
	CLEANUP(free) char *version = ask(program, clang ? "-dumpversion" : "-dumpfullversion");
	CLEANUP(free) char *machine = ask(program, "-dumpmachine");

	if (banner == NULL || version == NULL || machine == NULL)
		return false;
	(void)snprintf(ret, size, "%s %s %s", clang ? "clang" : "gcc", version, machine);
	return true;
}

bool tools_compiler(char *ret, size_t size)
{
	CLEANUP(free) char *program = which(cxx_names);

	return program != NULL && read_compiler(program, ret, size);
}

bool tools_find(struct tools *ret, struct err *e)
{
	CLEANUP(tools_done) struct tools t = {0};
	struct toolkit tk = {0};

	tools_check(&tk, false);
	toolkit_conclude(&tk);
	if (!toolkit_require(NULL, &tk, e))
		return false;
	t.cmake = which(cmake_names);
	t.ninja = which(ninja_names);
	t.cc = which(cc_names);
	t.cxx = which(cxx_names);
	t.ccache = fs_which("ccache");
	if (!read_compiler(t.cxx, t.compiler, sizeof(t.compiler)))
		return err_set(e, ERR_TOOLKIT, "the C++ compiler '%s' does not tell its version",
			       t.cxx);
	*ret = t;
	t = (struct tools){0};
	return true;
}

void tools_done(struct tools *t)
{
	free(t->cmake);
	free(t->ninja);
	free(t->cc);
	free(t->cxx);
	free(t->ccache);
	*t = (struct tools){0};
}

bool tools_missing(const char *what, const char *const packages[DISTRO_COUNT], struct err *e)
{
	char command[200];

	distro_install_command(distro_here(), packages[distro_here()], command, sizeof(command));
	(void)err_set(e, ERR_TOOLKIT, "%s", what);
	return err_hint(e, "%s", command);
}

bool tools_missing_pip(const char *what, struct err *e)
{
	return tools_missing(what, tools_pip_packages, e);
}
