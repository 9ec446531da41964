/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Model options: one table gives names, types, bounds, help, and the worker's arguments. Stored as
 * a JSON object that holds what the user set; what is absent has the default. A JSON null takes an
 * option back to its default.
 *
 * n_ctx is what one conversation may use. The slots share one memory of n_ctx tokens unless the
 * user set `parallel`: then each has n_ctx of its own, and the memory is parallel times as large.
 * Shared, a single conversation costs no more than it needs; but when several together outgrow
 * n_ctx, llama-server ends them all with an error.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum option_type {
	OPTION_INT,
	OPTION_NUMBER,
	OPTION_BOOL,
	OPTION_CHOICE,
	OPTION_TEXT,
	OPTION_PATH,    /* absolute, a regular file that can be read */
	OPTION_PATHS,   /* lists of such */
	OPTION_DEVICES, /* a list of devices of one backend: "Vulkan0" */
	OPTION_NUMBERS, /* a list of numbers, at most one a device */
	OPTION_IDS,     /* a list of model ids */
	OPTION_OBJECT
};

#define OPTION_DEVICE_MAX 63  /* characters of a device's name */
#define OPTION_DEVICES_MAX 16 /* llama.cpp's own limit */

struct option {
	const char *name;
	enum option_type type;
	bool computed;        /* its arguments depend on more than its value: see option_args */
	bool reload;          /* takes effect at the next load */
	double min, max;      /* of a number, each of several; length of a text or another list,
			       * bytes of an object */
	const char *choices;  /* "on|off|auto"; of a number: words that stand for one */
	const char *fallback; /* default, in words, for people */
	const char *flag;     /* llama-server's argument, NULL: not one */
	const char *help;
};

/* The table, ended by a NULL name. */
const struct option *option_table(void);
const struct option *option_find(const char *name);        /* NULL: unknown */
bool option_choice(const char *choices, const char *text); /* is "off" among "on|off"? */
const char *option_type_name(enum option_type type);       /* "a whole number" */

/* Checks changes (an object) and merges them into `stored` (text of a JSON object; NULL is an empty
 * one). *ret_text is the new text, caller frees. *ret_reload (may be NULL): one of the changed
 * options needs a load. Unknown names and bad values: ERR_INVALID that names them and the allowed;
 * options that do not go together: ERR_CONFLICT.
 */
MUST_CHECK bool option_merge(const char *stored, const json_t *changes, char **ret_text,
			     bool *ret_reload, struct err *e);
/* Of the options only those that a worker is started with, in one order: the same text, the same
 * worker. Caller frees. */
char *option_worker_part(const char *stored);
/* Of those, the ones that a saved conversation depends on. Caller frees. */
char *option_context_part(const char *stored);

struct option_facts { /* of the model, for defaults */
	int64_t context_length;
	const char *mode;
};
/* The numbers that Shunt itself needs. */
int option_parallel(const char *stored); /* slots, default 4; runtime python has 1 */
/* What one conversation may use; default the smaller of trained and 8192. */
int64_t option_n_ctx(const char *stored, const struct option_facts *facts);
/* Tokens that all slots together may hold. */
int64_t option_ctx_size(const char *stored, const struct option_facts *facts);
bool option_flag(const char *stored, const char *name, bool fallback);
char *option_projector(const char *stored); /* path of mmproj; NULL: none. Caller frees. */
/* All files that the options name, as they are written there. */
void option_files(const char *stored, struct strv *ret);
char *option_template(const char *stored); /* chat_template; NULL: the model's. Caller frees. */
void option_aliases(const char *stored, struct strv *ret); /* other names of the model */
/* Why no conversation of such a model can be saved, NULL: it can; static. */
const char *option_context_never(const char *stored, const struct option_facts *facts);
/* "chat", "embedding", "rerank": as set, else of the model; static. */
const char *option_mode(const char *stored, const struct option_facts *facts);
int64_t option_idle_unload_ms(const char *stored, int64_t fallback_ms); /* 0: never */
bool option_migrate(const char *stored);  /* running answers move in a switch; default yes */
char *option_devices(const char *stored); /* "CUDA0,CUDA1", "" when none are set; caller frees */
/* tensor_split; 0: not set, llama.cpp goes by free memory. */
size_t option_split(const char *stored, double ret[OPTION_DEVICES_MAX]);
const char *option_runtime(const char *stored); /* "server", "python"; static */
/* The arguments for the options: of llama-server (−ngl, −c, −fa …, per engine.md "always"), without
 * host, model, alias, device; of the other runtime one JSON object, for engine/…/python/serve.py.
 */
void option_args(const char *stored, const struct option_facts *facts, bool gpu,
		 struct strv *ret_args);

/* Of them, those that llama-bench measures with: layers, flash attention, types of the cache,
 * threads. ERR_NOT_SUPPORTED: one that it does not know. */
MUST_CHECK bool option_bench_args(const char *stored, bool gpu, struct strv *ret_args,
				  struct err *e);

/* n_gpu_layers is auto: as many as fit, see switch/fit.h. */
bool option_auto_layers(const char *stored);
/* The options with that number in its place. Caller frees. */
char *option_with_layers(const char *stored, int64_t layers);

/* What a worker's memory depends on, as option_args() asks for it. */
struct option_memory {
	int64_t cells; /* tokens of the cache, all slots together */
	int64_t slots;
	int64_t batch;      /* tokens computed at once */
	int64_t outputs;    /* of them, with logits */
	int64_t gpu_layers; /* INT64_MAX: all; 0 without a GPU */
	bool auto_layers;   /* or fewer */
	int64_t cpu_moe;
	bool flash_attn;
	char type_k[8], type_v[8]; /* "q8_0" */
	char *draft;               /* path of a second model, NULL: none */
	struct strv files;         /* read whole beside the model: adapters, projector */
};
void option_memory(const char *stored, const struct option_facts *facts, bool gpu,
		   struct option_memory *ret);
void option_memory_done(struct option_memory *m);
static inline void option_memory_done_p(struct option_memory *m)
{
	option_memory_done(m);
}
