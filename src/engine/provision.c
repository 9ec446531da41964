/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA's compiler and libraries where no toolkit is installed: wheels of the pins, unpacked as they
 * are, without root. Two pieces, as only the libraries are needed to run; a build puts both
 * together (job_toolkit.c).
 */

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/pip_run.h"
#include "engine/engine_priv.h"

#define MIB (1024LL * 1024)

static const struct kind {
	const char *name, *requirements;
	const char *title, *what;
} kinds[] = {
	[PROVISION_RUNTIME] = {"cuda-runtime", "requirements-runtime.txt",
			       "Fetching CUDA's libraries", "CUDA's libraries"},
	[PROVISION_COMPILER] = {"cuda-compiler", "requirements-compiler.txt",
				"Fetching CUDA's compiler", "CUDA's compiler"},
};

struct piece {
	const struct kind *kind;
	const struct engine *en;
	const struct build_watch *w;
	struct store_stage *stage;
	int64_t size, disk; /* bytes to fetch, bytes unpacked */
	double from, share; /* of the bar */
};

static int64_t size_of(const struct pin *pin, enum provision which)
{
	return which == PROVISION_RUNTIME ? pin->runtime_size : pin->compiler_size;
}

static int64_t disk_of(const struct pin *pin, enum provision which)
{
	return MIB * (which == PROVISION_RUNTIME ? pin->runtime_disk : pin->compiler_disk);
}

static char *pins_path(const struct pin *pin, const struct kind *kind)
{
	return mem_printf("%s/%s/%s", pin->folder, pin->cuda, kind->requirements);
}

static bool describe(const struct pin *pin, const struct kind *kind, struct buf *ret, struct err *e)
{
	CLEANUP(free) char *path = pins_path(pin, kind);
	char hex[HASH_HEX_SIZE];

	if (!hash_file(path, NULL, NULL, hex, e))
		return err_wrap(e, "engine %s", pin->release);
	buf_printf(ret, "format=1\nkind=%s\nrequirements=%s\n", kind->name, hex);
	return true;
}

bool provision_digest(const struct engine *en, enum provision which, char ret[static HASH_HEX_SIZE],
		      struct err *e)
{
	CLEANUP(buf_done) struct buf inputs = {0};
	CLEANUP(hash_free) struct hash *h = hash_new();

	if (!describe(en->pin, &kinds[which], &inputs, e))
		return false;
	hash_add(h, inputs.data, inputs.len);
	hash_hex(h, ret);
	return true;
}

/* --- making one ------------------------------------------------------------------------------- */

static void on_line(void *arg, const char *line)
{
	const struct piece *p = arg;

	p->w->on_line(p->w->arg, line);
}

static void progress(const struct piece *p)
{
	int64_t whole = p->size + p->disk;
	int64_t there = 0;

	if (whole <= 0 || !fs_tree_size(store_stage_path(p->stage), &there, NULL))
		return;
	p->w->on_step(p->w->arg, p->kind->title,
		      p->from + p->share * (there < whole ? (double)there / (double)whole : 1));
}

/* Asked several times a second: the moment to see how far it is. */
static bool cancelled(void *arg)
{
	const struct piece *p = arg;

	if (p->stage)
		progress(p);
	return atomic_load(&p->en->stopping) || p->w->cancelled(p->w->arg);
}

static bool check_room(const struct piece *p, struct err *e)
{
	CLEANUP(free) char *folder = fs_dirname(store_stage_path(p->stage));
	int64_t needed = p->size + p->disk, room = 0;

	if (!fs_free_bytes(folder, &room, e))
		return false;
	if (room >= needed)
		return true;
	(void)err_set(e, ERR_NO_SPACE, "%s need %lld MiB in '%s', %lld MiB are free", p->kind->what,
		      (long long)(needed / MIB), folder, (long long)(room / MIB));
	return err_hint(e, "free some space, or choose a folder on another disk with --store-dir");
}

static bool run_pip(struct piece *p, const char *tmp, struct err *e)
{
	CLEANUP(free) char *pins = pins_path(p->en->pin, p->kind);
	CLEANUP(free) char *doing = mem_printf("fetching %s", p->kind->what);
	CLEANUP(free) char *purpose = mem_printf("which fetches %s", p->kind->what);
	CLEANUP(strv_done) struct strv environ = {0};
	CLEANUP(strv_done) struct strv args = {0};
	struct pip_run run = {
		.python = "python3",
		.environ = &environ,
		.cwd = store_stage_path(p->stage),
		.doing = doing,
		.missing = tools_missing_pip,
		.purpose = purpose,
		.otherwise = ", or install a CUDA toolkit",
		.on_line = on_line,
		.cancelled = cancelled,
		.arg = p,
	};

	pip_environ(tmp, &environ);
	pip_pinned(pins, store_stage_out(p->stage), &args);
	run.args = strv_items(&args);
	return pip_run(&run, e);
}

static bool fill(struct piece *p, struct err *e)
{
	CLEANUP(free) char *tmp = fs_join(store_stage_path(p->stage), "tmp");

	if (p->en->source->offline) {
		(void)err_set(e, ERR_UNAVAILABLE, "%s are not here, and the daemon is offline",
			      p->kind->what);
		return err_hint(e, "set offline to no, or install a CUDA toolkit");
	}
	return check_room(p, e) && fs_mkdirs(tmp, 0700, e) && run_pip(p, tmp, e);
}

static bool make(struct piece *p, struct store *store, const char *digest, struct err *e)
{
	CLEANUP(buf_done) struct buf inputs = {0};

	if (!describe(p->en->pin, p->kind, &inputs, e) ||
	    !store_stage_begin(store, digest, cancelled, p, &p->stage, e))
		return false;
	if (p->stage == NULL) /* another daemon made it meanwhile */
		return true;
	/* What another left is of no use: pip begins anew. */
	if (store_stage_clear(p->stage, e) && fs_mkdirs(store_stage_out(p->stage), 0755, e) &&
	    fill(p, e))
		return store_stage_publish(STEAL(p->stage), p->kind->name, inputs.data, e);
	store_stage_abort(STEAL(p->stage));
	return false;
}

/* --- what a recipe needs ---------------------------------------------------------------------- */

static bool lacks(struct store *store, const char *digest)
{
	return digest[0] && !store_has(store, digest);
}

/* The compiler only while there is something to compile. */
static bool misses(struct store *store, const struct recipe *r, enum provision which)
{
	return which == PROVISION_RUNTIME
		       ? lacks(store, r->libraries)
		       : lacks(store, r->compiler) && !store_has(store, r->digest);
}

int64_t engine_missing_bytes(struct engine *en, struct store *store, const struct recipe *r)
{
	int64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		sum += misses(store, r, i) ? size_of(en->pin, i) : 0;
	return sum;
}

bool engine_provide(struct engine *en, struct store *store, const struct recipe *r,
		    const struct build_watch *w, struct err *e)
{
	int64_t whole = engine_missing_bytes(en, store, r);
	struct piece p = {.en = en, .w = w};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!misses(store, r, i))
			continue;
		p.kind = &kinds[i];
		p.size = size_of(en->pin, i);
		p.disk = disk_of(en->pin, i);
		p.share = (double)p.size / (double)whole;
		w->on_step(w->arg, p.kind->title, p.from);
		if (!make(&p, store, i == PROVISION_RUNTIME ? r->libraries : r->compiler, e))
			return false;
		p.from += p.share;
	}
	return true;
}
