/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llama-cpp-python without a compiler: its pure Python part as it lies in the source, beside the
 * wheels of what it needs. No base in it, and no link to one: environments have those, so that all
 * bases share the piece and a new base needs no network. What its server needs besides is a piece
 * of its own, which most environments never ask for.
 */

#include <stdlib.h>
#include <string.h>

#include "base/complaint.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/pip_run.h"
#include "base/proc.h"
#include "engine/engine_priv.h"
#include "engine/python.h"
#include "engine/tools.h"

static const char hook[] = "_shunt_engine.py", finish[] = "finish.py";

static const struct kind {
	const char *name, *requirements;
	bool binding; /* with llama_cpp itself, and the hook that prepares it */
	const char *title, *doing, *missing;
} binding = {.name = "python",
	     .requirements = "requirements.txt",
	     .binding = true,
	     .title = "Installing llama-cpp-python",
	     .doing = "installing what llama-cpp-python needs",
	     .missing = "what llama-cpp-python needs"},
  server = {.name = "python-server",
	    .requirements = "requirements-server.txt",
	    .title = "Installing llama_cpp.server",
	    .doing = "installing what llama_cpp.server needs",
	    .missing = "what llama_cpp.server needs"};

struct piece {
	const struct kind *kind;
	struct engine *en;
	const struct python *python;
	const struct build_watch *w;
	struct store_stage *stage;
	char source[HASH_HEX_SIZE];
	char *folder; /* site-packages */
	struct strv environ;
};

static char *data_path(const struct engine *en, const char *name)
{
	return mem_printf("%s/%s/%s", en->pin->folder, en->pin->python, name);
}

bool engine_has_python(const struct engine *en)
{
	return source_may_bind(en->source, en->pin);
}

char *engine_python_check(const struct engine *en)
{
	return data_path(en, "verify.py");
}

char *engine_python_launcher(const struct engine *en)
{
	return data_path(en, "serve.py");
}

/* --- the interpreter: asked once ----------------------------------------------------------------
 */

static void copy(const struct python *from, struct python *to)
{
	*to = *from;
	to->program = mem_dup(from->program);
}

static bool recall(struct engine *en, struct python *ret)
{
	CLEANUP(free) char *now = python_seen(en->python.program);

	if (!en->python_seen || strcmp(now, en->python_seen) != 0)
		return false;
	copy(&en->python, ret);
	return true;
}

static void remember(struct engine *en, const struct python *p)
{
	python_done(&en->python);
	copy(p, &en->python);
	free(en->python_seen);
	en->python_seen = python_seen(p->program);
}

bool engine_find_python(struct engine *en, struct python *ret, struct err *e)
{
	bool known;

	(void)pthread_mutex_lock(&en->lock);
	known = recall(en, ret);
	(void)pthread_mutex_unlock(&en->lock);
	if (known)
		return true;
	if (!python_find(ret, e))
		return false;
	(void)pthread_mutex_lock(&en->lock);
	remember(en, ret);
	(void)pthread_mutex_unlock(&en->lock);
	return true;
}

/* --- who looks on ----------------------------------------------------------------------------- */

static bool stopped(void *arg)
{
	const struct piece *p = arg;

	return atomic_load(&p->en->stopping) || p->w->cancelled(p->w->arg);
}

static void on_line(void *arg, const char *line)
{
	const struct piece *p = arg;

	p->w->on_line(p->w->arg, line);
}

/* Of a download: half of the whole. */
static void on_progress(void *arg, double fraction)
{
	const struct piece *p = arg;

	p->w->on_step(p->w->arg, "Fetching llama-cpp-python", fraction / 2);
}

/* --- steps ------------------------------------------------------------------------------------ */

/* As pip would install it: what importlib.metadata knows it by. */
static bool place_facts(const struct piece *p, const char *from, struct err *e)
{
	CLEANUP(free) char *facts = fs_join(from, "PKG-INFO");
	CLEANUP(free)
	char *info = mem_printf("%s/llama_cpp_python-%s.dist-info", p->folder, p->en->pin->version);
	CLEANUP(free) char *to = fs_join(info, "METADATA");

	return !fs_exists(facts) || (fs_mkdirs(info, 0755, e) && fs_rename(facts, to, e));
}

static bool take_binding(struct piece *p, struct err *e)
{
	const struct source *s = p->en->source;
	const struct source_watch w = {
		.on_progress = on_progress, .on_line = on_line, .cancelled = stopped, .arg = p};
	CLEANUP(free) char *from = fs_join(store_stage_path(p->stage), "binding");
	CLEANUP(free) char *package = fs_join(from, "llama_cpp");
	CLEANUP(free) char *to = fs_join(p->folder, "llama_cpp");
	CLEANUP(free) char *archive = NULL;

	on_progress(p, 0);
	return source_get(s, p->source, &w, &archive, e) &&
	       source_binding(s, p->en->pin, archive, from, &w, e) && fs_rename(package, to, e) &&
	       place_facts(p, from, e);
}

static bool install_needs(struct piece *p, struct err *e)
{
	CLEANUP(free) char *pins = data_path(p->en, p->kind->requirements);
	CLEANUP(free) char *purpose = mem_printf("which installs %s", p->kind->missing);
	CLEANUP(strv_done) struct strv args = {0};
	struct pip_run run = {
		.python = p->python->program,
		.environ = &p->environ,
		.cwd = store_stage_path(p->stage),
		.doing = p->kind->doing,
		.missing = tools_missing_pip,
		.purpose = purpose,
		.otherwise = "",
		.on_line = on_line,
		.cancelled = stopped,
		.arg = p,
	};

	if (p->en->source->offline) {
		(void)err_set(e, ERR_UNAVAILABLE, "%s is not here, and the daemon is offline",
			      p->kind->missing);
		return err_hint(e, "set offline to no, and try again");
	}
	p->w->on_step(p->w->arg, p->kind->title, 0.5);
	pip_pinned(pins, p->folder, &args);
	run.args = strv_items(&args);
	return pip_run(&run, e);
}

static bool add_hook(const struct piece *p, struct err *e)
{
	CLEANUP(free) char *from = data_path(p->en, hook);
	CLEANUP(free) char *to = fs_join(p->folder, hook);
	CLEANUP(free) char *text = NULL;
	size_t len = 0;

	return fs_read(from, 1 << 20, &text, &len, e) && fs_replace(to, text, len, 0644, e);
}

static bool run_finish(struct piece *p, struct err *e)
{
	CLEANUP(free) char *program = data_path(p->en, finish);
	const char *const argv[] = {p->python->program, "-I", program, p->folder, NULL};
	char tail[512] = "";
	struct proc_run run = {
		.argv = argv,
		.env = strv_items(&p->environ),
		.idle = !p->en->hurry,
		.on_line = on_line,
		.cancelled = stopped,
		.arg = p,
		.tail = tail,
		.tail_size = sizeof(tail),
	};
	int status = -1;

	p->w->on_step(p->w->arg, p->kind->title, 0.8);
	if (!proc_run(&run, &status, e))
		return false;
	return status == 0 || err_set(e, ERR_BUILD, "compiling .py files failed: %s", tail);
}

static bool fill(struct piece *p, struct err *e)
{
	CLEANUP(free) char *tmp = fs_join(store_stage_path(p->stage), "tmp");

	if (!fs_mkdirs(tmp, 0700, e) || !fs_mkdirs(p->folder, 0755, e))
		return false;
	pip_environ(tmp, &p->environ);
	return (!p->kind->binding || (take_binding(p, e) && add_hook(p, e))) &&
	       install_needs(p, e) && run_finish(p, e);
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool describe_file(const struct piece *p, const char *name, struct buf *ret, struct err *e)
{
	CLEANUP(free) char *path = data_path(p->en, name);
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, NULL, NULL, hex, e))
		return false;
	buf_printf(ret, "%s=%s\n", name, hex);
	return true;
}

/* All that forms it. */
static bool describe(struct piece *p, struct buf *ret, struct err *e)
{
	bool with = p->kind->binding;

	buf_printf(ret, "format=1\nkind=%s\n", p->kind->name);
	if (with && !source_hash(p->en->source, p->en->pin, p->source, e))
		return false;
	if (with)
		buf_printf(ret, "source=%s\n", p->source);
	buf_printf(ret, "python=%s\n", p->python->abi);
	return describe_file(p, p->kind->requirements, ret, e) &&
	       (!with || describe_file(p, hook, ret, e)) && describe_file(p, finish, ret, e);
}

static bool make(struct piece *p, struct store *store, const char *digest, const char *inputs,
		 struct err *e)
{
	if (store_has(store, digest))
		return true;
	if (!store_stage_begin(store, digest, stopped, p, &p->stage, e))
		return false;
	if (p->stage == NULL) /* another daemon made it meanwhile */
		return true;
	p->folder = fs_join(store_stage_out(p->stage), PYTHON_PIECE_FOLDER);
	return fill(p, e) && store_stage_publish(STEAL(p->stage), p->kind->name, inputs, e);
}

static bool piece(const struct kind *kind, struct engine *en, struct store *store,
		  const struct python *python, const struct build_watch *w, char **ret_digest,
		  struct err *e)
{
	struct piece p = {.kind = kind, .en = en, .python = python, .w = w};
	CLEANUP(buf_done) struct buf inputs = {0};
	CLEANUP(hash_free) struct hash *h = hash_new();
	char digest[HASH_HEX_SIZE];
	bool ok;

	if (!describe(&p, &inputs, e))
		return false;
	hash_add(h, inputs.data, inputs.len);
	hash_hex(h, digest);
	ok = make(&p, store, digest, inputs.data, e);
	store_stage_abort(p.stage);
	free(p.folder);
	strv_done(&p.environ);
	if (ok)
		*ret_digest = mem_dup(digest);
	return ok;
}

bool engine_python(struct engine *en, struct store *store, const struct python *python,
		   const struct build_watch *w, char **ret_digest, struct err *e)
{
	return piece(&binding, en, store, python, w, ret_digest, e);
}

bool engine_python_server(struct engine *en, struct store *store, const struct python *python,
			  const struct build_watch *w, char **ret_digest, struct err *e)
{
	return piece(&server, en, store, python, w, ret_digest, e);
}
