/* SPDX-License-Identifier: Apache-2.0 */
/* llama-cpp-python out of the source: pure Python, which lies around the llama.cpp it carries. */

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/proc.h"
#include "engine/source.h"

static const char package[] = "llama_cpp", facts[] = "PKG-INFO";

static bool absent(const struct source *s, struct err *e)
{
	(void)err_set(e, ERR_NOT_FOUND, "'%s' has no llama-cpp-python", s->where);
	return err_hint(e, "an engine_source that is its source distribution has");
}

/* The folder that has llama_cpp, caller frees; NULL: none. */
static char *find(const struct source *s, const struct pin *pin)
{
	CLEANUP(free) char *top = tree_find(s->where, pin->subfolder);
	CLEANUP(free) char *code = NULL;
	size_t below = strlen(pin->subfolder);
	size_t len = top ? strlen(top) : 0;

	if (len > below + 1 && top[len - below - 1] == '/' &&
	    strcmp(top + len - below, pin->subfolder) == 0)
		top[len - below - 1] = '\0';
	code = top ? mem_printf("%s/%s/__init__.py", top, package) : NULL;
	return code && fs_exists(code) ? STEAL(top) : NULL;
}

bool source_may_bind(const struct source *s, const struct pin *pin)
{
	CLEANUP(free) char *found = s->kind == SOURCE_FOLDER ? find(s, pin) : NULL;

	return pin->python && (found || s->kind != SOURCE_FOLDER);
}

/* There are sources without. */
static bool copy_facts(const char *from, const char *to, struct err *e)
{
	CLEANUP(free) char *text = NULL;
	size_t len = 0;

	return !fs_exists(from) ||
	       (fs_read(from, 1 << 20, &text, &len, e) && fs_replace(to, text, len, 0644, e));
}

static bool copy(const struct source *s, const struct pin *pin, const char *to, struct err *e)
{
	CLEANUP(free) char *folder = find(s, pin);
	CLEANUP(free) char *from_facts = folder ? fs_join(folder, facts) : NULL;
	CLEANUP(free) char *from = folder ? fs_join(folder, package) : NULL;
	CLEANUP(free) char *to_package = fs_join(to, package);
	CLEANUP(free) char *to_facts = fs_join(to, facts);

	if (!folder)
		return absent(s, e);
	return fs_copy_tree(from, to_package, e) && copy_facts(from_facts, to_facts, e);
}

static bool extract(const char *archive, const char *to, const char *what,
		    const struct source_watch *w, int *ret_status, struct err *e)
{
	CLEANUP(free) char *file = mem_printf("--file=%s", archive);
	CLEANUP(free) char *folder = mem_printf("--directory=%s", to);
	CLEANUP(free) char *pattern = mem_printf("*/%s", what);
	const char *const argv[] = {"tar",
				    "--extract",
				    file,
				    folder,
				    "--force-local",
				    "--no-same-owner",
				    "--no-same-permissions",
				    "--warning=no-timestamp",
				    "--strip-components=1",
				    "--wildcards",
				    "--no-wildcards-match-slash",
				    pattern,
				    NULL};
	const struct proc_run run = {
		.argv = argv, .on_line = w->on_line, .cancelled = w->cancelled, .arg = w->arg};

	return proc_run(&run, ret_status, e);
}

static bool unpack(const struct source *s, const char *archive, const char *to,
		   const struct source_watch *w, struct err *e)
{
	CLEANUP(free) char *code = mem_printf("%s/%s/__init__.py", to, package);
	int status = -1;

	if (!extract(archive, to, package, w, &status, e))
		return false;
	if (status != 0 && !fs_exists(code))
		return absent(s, e);
	if (status != 0) {
		(void)err_set(e, ERR_SYSTEM, "llama-cpp-python in '%s' cannot be unpacked",
			      archive);
		return err_hint(e, "the task's log has what tar said");
	}
	return extract(archive, to, facts, w, &status, e); /* there are sources without */
}

bool source_binding(const struct source *s, const struct pin *pin, const char *archive,
		    const char *to, const struct source_watch *w, struct err *e)
{
	if (!fs_mkdirs(to, 0700, e))
		return false;
	return archive ? unpack(s, archive, to, w, e) : copy(s, pin, to, e);
}
