/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One pinned release of llama.cpp: where its source comes from, its patches, and the recipes that
 * make a base or a module of it. Data in <data>/engine/<release>/. Read-only once opened: any
 * thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/store.h"

struct engine;

struct engine_settings {
	const char *data_dir;  /* folder with engine/ */
	const char *source;    /* `engine_source`: NULL or "" the pin; "pip:llama-cpp-python==V
				  sha256=H", "URL sha256=H", folder, archive [sha256=H] */
	const char *cpu;       /* flavour: "native" or "x86-64-v3" */
	int jobs;              /* parallel compilers, 0: by cores and memory */
	bool hurry;            /* compilers at normal priority, not when the machine is idle */
	const char *cache_dir; /* downloads, ccache */
	bool offline;          /* sources that are not there are not fetched */
	bool no_provision;     /* no toolkit comes from pip */
};
MUST_CHECK bool engine_open(const struct engine_settings *s, struct engine **ret, struct err *e);
/* Ends builds that run, and those that come, with ERR_UNAVAILABLE: the daemon is stopping. What
 * they have done stays for the next build. */
void engine_stop(struct engine *en);
void engine_free(struct engine *en);
CLEANUP_DEFINE(engine_free, struct engine)
const char *engine_release(const struct engine *en);
/* What a build of its base takes in the stage, and one compiler job of it. */
void engine_base_needs(const struct engine *en, int64_t *ret_disk, int64_t *ret_memory);

/* What a build is made of: everything that goes into its digest. */
struct recipe {
	char digest[65];
	char *inputs;                  /* the text that was hashed */
	const char *kind;              /* "base" or "module" */
	const struct backend *backend; /* NULL for the base */
	struct strv cmake_args;        /* without source, build folder */
	struct strv targets;           /* ninja targets */
	/* Pieces from pip: what it runs with, what it is compiled with; "": the system's. */
	char libraries[65], compiler[65];
	int64_t disk_bytes, memory_bytes; /* known need */
};
void recipe_free(struct recipe *r);
CLEANUP_DEFINE(recipe_free, struct recipe)
/* backend NULL: the base. Checks compiler, cmake, ninja (ERR_TOOLKIT) and reads their versions. */
MUST_CHECK bool engine_recipe(struct engine *en, const struct backend *b, const struct toolkit *tk,
			      struct recipe **ret, struct err *e);
/* The same piece under another digest, so that it is built whatever the store has. mark: a word
 * that nobody used before. */
void recipe_anew(struct recipe *r, const char *mark);
/* Adds what only the engine knows: its C++ compiler (into that buffer), what it can fetch. */
enum { ENGINE_COMPILER = 160 };
void engine_ask(struct engine *en, char compiler[static ENGINE_COMPILER], struct toolkit_ask *ret);
/* What the backend and every build (cmake, ninja, C++ compiler, patch …) need here, and which of
 * it is to be fetched. arch and self: of struct toolkit_ask. */
void engine_check(struct engine *en, const struct backend *b, const char *self, const char *arch,
		  struct toolkit *ret);

/* Progress and cancellation of a build, as its waiters see it. */
struct build_watch {
	void (*on_step)(void *arg, const char *title,
			double fraction);             /* fraction of the whole build */
	void (*on_line)(void *arg, const char *line); /* the whole log */
	bool (*cancelled)(void *arg);
	void *arg;
};
/* Bytes that would have to be fetched with pip to make and run this; 0: nothing. */
int64_t engine_missing_bytes(struct engine *en, struct store *store, const struct recipe *r);
/* Fetches that, as pieces of the store: of a failed download nothing stays. To be called before
 * engine_build, and also when what it builds is there: it may run with what is not. */
MUST_CHECK bool engine_provide(struct engine *en, struct store *store, const struct recipe *r,
			       const struct build_watch *w, struct err *e);
/* Makes the piece in the store if it isn't there: disk and memory check, fetch, unpack, patch,
 * configure, compile, install, publish. On any failure nothing of it stays but a broken download's
 * part. A build that was interrupted (a daemon that stopped or died, not a cancel) is taken up
 * where it was by the next of the same digest. ERR_BUILD carries the compiler's error lines.
 * Callers that want the same digest share one build, each sees its whole log; it is cancelled when
 * the last of them is. The callbacks are called on the caller's thread. */
MUST_CHECK bool engine_build(struct engine *en, struct store *store, const struct recipe *r,
			     const struct build_watch *w, struct err *e);
