/* SPDX-License-Identifier: Apache-2.0 */
#include "model/estimate.h"

#include <string.h>

#include "base/mem.h"
#include "model/gguf_type.h"

#define CELLS_STEP 256 /* llama.cpp rounds the cache up to it */
#define F16_BYTES 2
#define F32_BYTES 4

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* a × part / whole, for part ≤ whole. */
static int64_t share(int64_t a, int64_t part, int64_t whole)
{
	return whole <= 0 ? 0 : (int64_t)((__int128)a * part / whole);
}

static int64_t round_up(int64_t n, int64_t step)
{
	return n > INT64_MAX - step ? n : (n + step - 1) / step * step;
}

/* --- weights ------------------------------------------------------------ */

static int64_t block_count(const struct gguf *g)
{
	return larger(g->block_count, 1);
}

/* Of n_gpu_layers one is the output. */
static int64_t layers_on_device(const struct gguf *g, const struct option_memory *m)
{
	return m->gpu_layers > 0 ? smaller(m->gpu_layers - 1, block_count(g)) : 0;
}

static int64_t layer_bytes_on_device(const struct gguf *g, const struct option_memory *m)
{
	int64_t layers = block_count(g), on = layers_on_device(g, m);
	/* The last layers go to the device, the first ones' experts stay. */
	int64_t kept = larger(smaller(m->cpu_moe, layers) - (layers - on), 0);

	return share(g->shape.layer_bytes, on, layers) - share(g->shape.expert_bytes, kept, layers);
}

/* What the CPU uses in a copy of its own, which the file is not needed for any more; *twice: but
 * for that of token_embd, which the first step of a graph reads where it is mapped. */
static int64_t repacked_bytes(const struct gguf *g, const struct option_memory *m, int64_t layers,
			      int64_t *twice)
{
	const struct gguf_shape *s = &g->shape;
	int64_t n = share(s->repacked_bytes, s->layer_bytes - layers, s->layer_bytes);

	*twice = 0;
	if (m->gpu_layers > 0)
		return n;
	if (s->output_bytes == 0)
		*twice = s->token_repacked;
	return memory_plus(n, s->output_repacked);
}

static void add_weights(const struct gguf *g, const struct option_memory *m, struct memory *e)
{
	const struct gguf_shape *s = &g->shape;
	int64_t layers = layer_bytes_on_device(g, m), twice;
	int64_t own = repacked_bytes(g, m, layers, &twice);
	int64_t output = 0, gone;

	if (m->gpu_layers > 0)
		output = s->output_bytes > 0 ? s->output_bytes : s->token_bytes;
	gone = memory_plus(layers, memory_plus(s->output_bytes > 0 ? output : 0, own));
	e->device.weights = memory_plus(layers, output);
	e->host.weights = memory_plus(own, twice);
	e->mapped = larger(s->tensor_bytes - gone, 0);
}

/* --- cache -------------------------------------------------------------- */

/* Architectures whose files don't say which layers slide: one of so many does not. */
static const struct {
	const char *architecture;
	int64_t pattern;
} patterns[] = {
	{"gemma2", 2},  {"gemma3", 6}, {"gemma3n", 5}, {"cohere2", 4},      {"gpt-oss", 2},
	{"exaone4", 4}, {"olmo2", 4},  {"llama4", 4},  {"smallthinker", 4}, {"plamo3", 8},
};

static int64_t pattern_of(const struct gguf *g)
{
	if (g->shape.window_pattern.count == 1)
		return g->shape.window_pattern.largest;
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		if (strcmp(g->architecture, patterns[i].architecture) == 0)
			return patterns[i].pattern;
	return 1;
}

static bool is_recurrent(const struct gguf *g)
{
	return g->shape.ssm_inner.largest > 0 || g->shape.wkv_head.largest > 0;
}

/* Layers by what they remember; one may be both attending and recurrent. */
struct layers {
	int64_t attending, sliding, recurrent;
	int64_t heads_kv; /* sum over the attending ones */
};

static struct layers count_layers(const struct gguf *g)
{
	const struct gguf_layers *kv = &g->shape.heads_kv;
	int64_t all = block_count(g), interval = g->shape.attention_interval.largest;
	int64_t heads = kv->count > 0 ? kv->largest : g->head_count, pattern;
	struct layers l = {.attending = heads > 0 ? all : 0};

	if (interval > 0)
		l.attending = all / interval;
	l.heads_kv = memory_times(heads, l.attending);
	if (kv->count > 1) {
		l.attending = smaller(kv->nonzero, all);
		l.heads_kv = kv->sum;
	}
	if (is_recurrent(g))
		l.recurrent = interval > 0 || kv->count > 1 ? all - l.attending : all;
	if (g->shape.window_pattern.count > 1) {
		l.sliding = smaller(g->shape.window_pattern.nonzero, l.attending);
	} else if (g->shape.window.largest > 0 && (pattern = pattern_of(g)) != 1) {
		l.sliding = pattern > 0 ? l.attending - l.attending / pattern : l.attending;
	}
	return l;
}

static int64_t head_length(const struct gguf *g, const struct gguf_layers *said)
{
	if (said->count > 0)
		return said->largest;
	return g->head_count > 0 ? g->embedding_length / g->head_count : g->embedding_length;
}

/* Elements of a type in bytes. */
static int64_t type_bytes(const char *name, int64_t elements)
{
	const struct gguf_tensor_type *t = gguf_tensor_type_named(name);

	if (!t)
		return memory_times(elements, F32_BYTES);
	return memory_times(memory_plus(elements, t->block_size - 1) / t->block_size,
			    t->block_bytes);
}

static int64_t cache_cells(const struct option_memory *m)
{
	return round_up(m->cells, CELLS_STEP);
}

/* Cells of a layer that looks back a window only. */
static int64_t window_cells(const struct gguf *g, const struct option_memory *m)
{
	int64_t n = memory_plus(memory_times(g->shape.window.largest, m->slots), m->batch);

	return round_up(smaller(n, cache_cells(m)), CELLS_STEP);
}

/* Of all attending layers, one token. */
static int64_t cell_bytes(const struct gguf *g, const struct option_memory *m, int64_t heads)
{
	const struct gguf_shape *s = &g->shape;
	int64_t k = memory_times(heads, head_length(g, &s->key_length));
	int64_t v = memory_times(heads, head_length(g, &s->value_length));

	if (s->key_length_mla.largest > 0)
		v = 0; /* the values are worked out from the keys */
	return memory_plus(type_bytes(m->type_k, k), type_bytes(m->type_v, v));
}

/* Of one layer and slot, in F32: llama_hparams::n_embd_r and n_embd_s. */
static int64_t state_bytes(const struct gguf *g)
{
	const struct gguf_shape *s = &g->shape;
	int64_t inner = s->ssm_inner.largest, state = s->ssm_state.largest;
	int64_t width = memory_times(memory_times(2, s->ssm_groups.largest), state);
	int64_t conv = memory_times(larger(s->ssm_conv.largest - 1, 0), memory_plus(inner, width));
	int64_t n = memory_plus(conv, memory_times(inner, state));

	if (s->wkv_head.largest > 0)
		n = memory_times(g->embedding_length, memory_plus(s->wkv_head.largest, 2));
	return memory_times(n, F32_BYTES);
}

static int64_t cache_bytes(const struct gguf *g, const struct option_memory *m)
{
	struct layers l = count_layers(g);
	int64_t cell = cell_bytes(g, m, l.heads_kv);
	int64_t sliding = share(cell, l.sliding, l.attending);
	int64_t attention = memory_plus(memory_times(cell - sliding, cache_cells(m)),
					memory_times(sliding, window_cells(g, m)));
	int64_t states = memory_times(memory_times(state_bytes(g), l.recurrent), m->slots);

	return memory_plus(attention, states);
}

/* --- compute ------------------------------------------------------------ */

/* The floats of one token that are alive at once where a layer is widest. Seen in the compute
 * buffers of llama.cpp: gate, up and their product of the feed forward network; for experts each of
 * those in use, or their results twice, and the sum; of a state space layer its two inner vectors,
 * three times. Beside them residual, result and normed, and where token_embd is, the input. */
static int64_t token_floats(const struct gguf *g, int64_t beside)
{
	const struct gguf_shape *s = &g->shape;
	int64_t embd = g->embedding_length, used = s->experts_used.largest;
	int64_t wide = memory_times(
		3, larger(s->feed_forward.largest, memory_times(2, s->ssm_inner.largest)));
	int64_t inside = memory_times(3, memory_times(used, s->expert_feed_forward.largest));
	int64_t results = used > 0 ? memory_times(memory_plus(memory_times(2, used), 2), embd) : 0;

	return memory_plus(larger(wide, larger(inside, results)), memory_times(beside, embd));
}

/* A compute buffer: what follows from the options, and what is a rule, or the logits that come when
 * all else is done. */
struct compute {
	int64_t known, vectors, logits;
};

static int64_t batch_tokens(const struct option_memory *m)
{
	return smaller(m->batch, cache_cells(m));
}

/* Which cells a token sees, one number each; layers that slide have a mask of their own. */
static int64_t mask_bytes(const struct gguf *g, const struct option_memory *m)
{
	struct layers l = count_layers(g);
	int64_t seen = l.attending > 0 ? cache_cells(m) : 0;

	if (l.sliding > 0)
		seen = memory_plus(seen, window_cells(g, m));
	return memory_times(seen, F16_BYTES);
}

static int64_t logits_bytes(const struct gguf *g, int64_t tokens)
{
	return memory_times(memory_times(g->shape.vocabulary, tokens), F32_BYTES);
}

/* Where layers are computed. */
static struct compute compute_layers(const struct gguf *g, const struct option_memory *m,
				     int64_t beside)
{
	int64_t seen = count_layers(g).attending > 0 ? cache_cells(m) : 0;
	int64_t scores =
		m->flash_attn ? 0 : memory_times(memory_times(seen, g->head_count), F32_BYTES);
	int64_t token = memory_plus(mask_bytes(g, m), scores);
	int64_t vectors = memory_times(token_floats(g, beside), F32_BYTES);

	return (struct compute){memory_times(token, batch_tokens(m)),
				memory_times(vectors, batch_tokens(m)),
				logits_bytes(g, m->outputs)};
}

/* Where the device computes all: what a batch is handed over in. */
static struct compute compute_input(const struct gguf *g, const struct option_memory *m)
{
	int64_t vectors = memory_times(2 * F32_BYTES, g->embedding_length);

	return (struct compute){.known = memory_times(mask_bytes(g, m), batch_tokens(m)),
				.vectors = memory_times(vectors, batch_tokens(m))};
}

static int64_t tuned(const struct compute *c, int64_t thousandths)
{
	__int128 vectors = c->vectors;

	if (thousandths > 0)
		vectors = vectors * thousandths / 1000;
	return memory_plus(c->known,
			   larger(vectors > INT64_MAX ? INT64_MAX : (int64_t)vectors, c->logits));
}

/* --- all ---------------------------------------------------------------- */

struct computes {
	struct compute device, host;
};

static struct computes compute_all(const struct gguf *g, const struct option_memory *m)
{
	int64_t on = layers_on_device(g, m);
	struct computes c = {0};

	if (on > 0)
		c.device = compute_layers(g, m, 3);
	c.host = on < block_count(g) ? compute_layers(g, m, 4) : compute_input(g, m);
	/* What becomes of the logits, wherever they are computed. */
	c.host.known = memory_plus(c.host.known, logits_bytes(g, m->slots));
	return c;
}

void estimate_model(const struct gguf *g, const struct option_memory *m,
		    const struct estimate_tuning *tuning, struct memory *ret)
{
	static const struct estimate_tuning none;
	const struct estimate_tuning *by = tuning ? tuning : &none;
	int64_t cache = cache_bytes(g, m);
	struct computes c = compute_all(g, m);
	struct memory e = {0};

	e.device.cache = share(cache, layers_on_device(g, m), block_count(g));
	e.host.cache = cache - e.device.cache;
	add_weights(g, m, &e);
	e.device.compute = tuned(&c.device, by->device);
	e.host.compute = tuned(&c.host, by->host);
	*ret = e;
}

/* At least 1: 0 means that nothing is known. */
static int64_t thousandths(const struct compute *c, int64_t said)
{
	int64_t vectors = said - c->known;

	if (said <= 0 || c->vectors <= 0)
		return 0;
	return vectors > c->vectors / 1000 ? share(1000, vectors, c->vectors) : 1;
}

void estimate_tune(const struct gguf *g, const struct option_memory *m, const struct memory *said,
		   struct estimate_tuning *ret)
{
	struct computes c = compute_all(g, m);

	ret->device = thousandths(&c.device, said->device.compute);
	ret->host = thousandths(&c.host, said->host.compute);
}

int64_t estimate_layers(const struct gguf *g)
{
	return memory_plus(block_count(g), 1);
}
