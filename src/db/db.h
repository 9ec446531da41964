/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What we remember, in <state_dir>/shunt.db (SQLite, WAL, synchronous=FULL). One connection behind
 * one lock; any thread may call. Records are plain data that own their strings; X_done frees them,
 * zeroes are empty. "Absent" is ERR_NOT_FOUND with a message that names the thing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct db;
/* Opens or creates the file and runs the numbered migrations; a database of a newer Shunt is
 * refused. */
MUST_CHECK bool db_open(const char *path, struct db **ret_db, struct err *e);
void db_free(struct db *db);
CLEANUP_DEFINE(db_free, struct db)

/* --- models ------------------------------------------------------------- */

struct db_model {
	char *id;
	char *path;         /* first file of a split model */
	int64_t size_bytes; /* all files */
	char *sha256;       /* NULL: unknown */
	char *architecture;
	char *name;         /* general.name, NULL: none */
	char *quantization; /* "Q4_1" */
	int64_t parameters;
	int64_t context_length; /* trained */
	char *mode;             /* chat, embedding, rerank */
	char *backend; /* association: backend and environment go together; NULL: none yet */
	char *environment;
	char *options;   /* JSON object of the options that the user set */
	bool pulled;     /* Shunt fetched the file: delete_file may remove it */
	bool loaded;     /* it is, or was when the daemon stopped or died */
	int64_t created; /* wall ms */
};
void db_model_done(struct db_model *m);
void db_model_copy(const struct db_model *from, struct db_model *to);
/* ERR_CONFLICT when the id is taken. */
MUST_CHECK bool db_model_insert(struct db *db, const struct db_model *m, struct err *e);
MUST_CHECK bool db_model_get(struct db *db, const char *id, struct db_model *ret, struct err *e);
/* All models by id; *ret_list is an array of *ret_count, free with db_models_free. */
MUST_CHECK bool db_model_list(struct db *db, struct db_model **ret_list, size_t *ret_count,
			      struct err *e);
/* Those that have the option `aliases`, at least. */
MUST_CHECK bool db_model_list_aliased(struct db *db, struct db_model **ret_list, size_t *ret_count,
				      struct err *e);
void db_models_free(struct db_model *list, size_t count);
MUST_CHECK bool db_model_set_options(struct db *db, const char *id, const char *options,
				     struct err *e);
/* What its file says (size, hash, architecture, name, quantization, parameters, context, mode). */
MUST_CHECK bool db_model_set_file(struct db *db, const struct db_model *m, struct err *e);
/* No such model: nothing happens, it was just forgotten. */
MUST_CHECK bool db_model_set_loaded(struct db *db, const char *id, bool loaded, struct err *e);
/* The flip: the association of one model, in one transaction, with an event row. ERR_CONFLICT when
 * the environment is not one of that backend (any more). */
MUST_CHECK bool db_model_associate(struct db *db, const char *id, const char *backend,
				   const char *environment, struct err *e);
MUST_CHECK bool db_model_delete(struct db *db, const char *id, struct err *e);

/* --- environments ------------------------------------------------------- */

struct db_env {
	char *name;
	char *backend;          /* the truth, never the name */
	char *state;            /* an ENV_STATES name */
	char *base_digest;      /* NULL until known */
	char *module_digest;    /* NULL: none (cpu) */
	char *libraries_digest; /* what the module runs with; NULL: the system's */
	char *arch;             /* that the user wants it built for; NULL: that of the GPUs here */
	char *device;           /* verified on, e.g. "Vulkan0" */
	char *device_name;      /* "llvmpipe (LLVM 15.0.6, 256 bits)" */
	char *reason;           /* why it failed, or why it is only built; NULL */
	int64_t size_bytes;
	int64_t created, verified; /* wall ms, 0: never */
	/* Its Python; all NULL: nobody has tried to make it. */
	char *python_digest;  /* llama-cpp-python and what it needs; NULL: none */
	char *python_version; /* "3.11.7" */
	char *python_program; /* the interpreter that the venv was made of */
	char *python_seen;    /* it and the builds as they were then: others are noticed by it */
	char *python_reason;  /* why it is not to be used; NULL: verified */
	char *server_digest;  /* what llama_cpp.server needs besides; NULL: nobody has asked for it
			       */
};
void db_env_done(struct db_env *env);
/* Insert or replace. The models that use it run on its backend from now on, in the same
 * transaction. */
MUST_CHECK bool db_env_put(struct db *db, const struct db_env *env, struct err *e);
MUST_CHECK bool db_env_get(struct db *db, const char *name, struct db_env *ret, struct err *e);
MUST_CHECK bool db_env_list(struct db *db, struct db_env **ret_list, size_t *ret_count,
			    struct err *e);
void db_envs_free(struct db_env *list, size_t count);
MUST_CHECK bool db_env_delete(struct db *db, const char *name, struct err *e);

/* --- loads -------------------------------------------------------------- */

/* What the last load in an environment took; goes with the environment. */
struct db_load {
	char *environment;
	/* The same of all three again takes the same. */
	char *file;    /* path and size */
	char *device;  /* "Vulkan0", "none" */
	char *options; /* of the worker */
	/* Buffers on the device and in the process. */
	int64_t device_weights, device_cache, device_compute;
	int64_t host_weights, host_cache, host_compute;
	int64_t mapped_bytes;  /* of the file, used where it is mapped */
	int64_t private_bytes; /* of the process, seen from outside */
	int64_t driver_bytes;  /* on the device beside the buffers; −1: nobody could tell */
	int64_t at;            /* wall ms */
};
void db_load_done(struct db_load *l);
static inline void db_load_done_p(struct db_load *l)
{
	db_load_done(l);
}
MUST_CHECK bool db_load_put(struct db *db, const struct db_load *l,
			    struct err *e); /* insert or replace */
MUST_CHECK bool db_load_get(struct db *db, const char *environment, struct db_load *ret,
			    struct err *e);
/* What the driver and the process took beside the buffers at the last load on that device, of any
 * model; −1: not known. */
MUST_CHECK bool db_load_beside(struct db *db, const char *device, int64_t *ret_driver,
			       int64_t *ret_process, struct err *e);

/* --- benchmarks --------------------------------------------------------- */

/* How fast a model was on a backend, and with what; goes with the model. */
struct db_bench {
	char *name; /* MODEL/BACKEND */
	char *model, *backend, *environment;
	/* It depends on these: another one, and it says nothing any more. */
	char *file; /* size, time of change, path */
	char *base_digest;
	char *module_digest;                         /* NULL: none (cpu) */
	char *device;                                /* "none", "Vulkan0" */
	char *driver;                                /* as the kernel tells; NULL: none */
	char *options;                               /* as llama-bench took them */
	double prompt_per_second, answer_per_second; /* tokens */
	int64_t at;                                  /* wall ms */
};
void db_bench_done(struct db_bench *b);
static inline void db_bench_done_p(struct db_bench *b)
{
	db_bench_done(b);
}
MUST_CHECK bool db_bench_put(struct db *db, const struct db_bench *b,
			     struct err *e); /* insert or replace */
/* A model's, by backend. */
MUST_CHECK bool db_bench_list(struct db *db, const char *model, struct db_bench **ret_list,
			      size_t *ret_count, struct err *e);
void db_benches_free(struct db_bench *list, size_t count);

/* --- tasks -------------------------------------------------------------- */

struct db_task {
	char *id;               /* 16 hex digits, sorted by time */
	char *kind;             /* switch, create, load, unload, pull, benchmark */
	char *model;            /* NULL: none */
	char *environment;      /* NULL: none */
	char *backend;          /* NULL: none */
	char *state;            /* queued running succeeded failed cancelled */
	char *step;             /* title of the step, "Compiling" */
	int step_n, step_count; /* 1-based; 0: not started */
	double percent;         /* 0 … 100 of the whole task */
	char *message;
	char *error_type, *error_message, *error_hint; /* NULL unless failed or cancelled */
	char *result;                       /* JSON object that the kind defines, NULL: none */
	int64_t created, started, finished; /* wall ms, 0: not yet */
	bool done; /* all that it was asked for, also while it still runs an extra step */
};
void db_task_done(struct db_task *t);
void db_task_copy(const struct db_task *from, struct db_task *to);
MUST_CHECK bool db_task_put(struct db *db, const struct db_task *t,
			    struct err *e); /* insert or replace */
MUST_CHECK bool db_task_get(struct db *db, const char *id, struct db_task *ret, struct err *e);
/* Newest first; state, model: NULL for any. */
MUST_CHECK bool db_task_list(struct db *db, const char *state, const char *model, int limit,
			     struct db_task **ret_list, size_t *ret_count, struct err *e);
void db_tasks_free(struct db_task *list, size_t count);
/* After a crash. What was done, and a switch that got as far as its model's row, has succeeded;
 * every other queued or running task becomes failed with this error. Gives the number of those. */
MUST_CHECK bool db_task_end_unfinished(struct db *db, const char *type, const char *message,
				       const char *hint, int *ret_count, struct err *e);
/* Keeps the newest `keep` finished tasks. */
MUST_CHECK bool db_task_prune(struct db *db, int keep, struct err *e);

/* --- history ------------------------------------------------------------ */

struct db_event {
	int64_t id;    /* grows */
	int64_t at;    /* wall ms */
	char *kind;    /* "switched", "worker-crashed" … */
	char *subject; /* model, environment or task id */
	char *text;
};
MUST_CHECK bool db_event_add(struct db *db, const char *kind, const char *subject, const char *text,
			     struct err *e);
/* Events after `after`, oldest first. */
MUST_CHECK bool db_event_list(struct db *db, int64_t after, int limit, struct db_event **ret_list,
			      size_t *ret_count, struct err *e);
void db_events_free(struct db_event *list, size_t count);
