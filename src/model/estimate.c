/* SPDX-License-Identifier: Apache-2.0 */
#include "model/estimate.h"

#include <string.h>

#include "base/mem.h"
#include "model/gguf_type.h"

#define CELLS_STEP 256 /* llama.cpp rounds the cache up to it */
#define F16_BYTES 2
#define F32_BYTES 4

int64_t estimate_sum(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t estimate_product(int64_t a, int64_t b)
{
	int64_t product;

	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

void estimate_add(struct estimate *a, const struct estimate *b)
{
	a->device = estimate_sum(a->device, b->device);
	a->host = estimate_sum(a->host, b->host);
	a->mapped = estimate_sum(a->mapped, b->mapped);
}

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
	return estimate_sum(n, s->output_repacked);
}

static void add_weights(const struct gguf *g, const struct option_memory *m, struct estimate *e)
{
	const struct gguf_shape *s = &g->shape;
	int64_t layers = layer_bytes_on_device(g, m), twice;
	int64_t own = repacked_bytes(g, m, layers, &twice);
	int64_t output = 0, gone;

	if (m->gpu_layers > 0)
		output = s->output_bytes > 0 ? s->output_bytes : s->token_bytes;
	gone = estimate_sum(layers, estimate_sum(s->output_bytes > 0 ? output : 0, own));
	e->device = estimate_sum(e->device, estimate_sum(layers, output));
	e->host = estimate_sum(e->host, estimate_sum(own, twice));
	e->mapped = estimate_sum(e->mapped, larger(s->tensor_bytes - gone, 0));
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
	l.heads_kv = estimate_product(heads, l.attending);
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
		return estimate_product(elements, F32_BYTES);
	return estimate_product(estimate_sum(elements, t->block_size - 1) / t->block_size,
				t->block_bytes);
}

static int64_t cache_cells(const struct option_memory *m)
{
	return round_up(m->cells, CELLS_STEP);
}

/* Cells of a layer that looks back a window only. */
static int64_t window_cells(const struct gguf *g, const struct option_memory *m)
{
	int64_t n = estimate_sum(estimate_product(g->shape.window.largest, m->slots), m->batch);

	return round_up(smaller(n, cache_cells(m)), CELLS_STEP);
}

/* Of all attending layers, one token. */
static int64_t cell_bytes(const struct gguf *g, const struct option_memory *m, int64_t heads)
{
	const struct gguf_shape *s = &g->shape;
	int64_t k = estimate_product(heads, head_length(g, &s->key_length));
	int64_t v = estimate_product(heads, head_length(g, &s->value_length));

	if (s->key_length_mla.largest > 0)
		v = 0; /* the values are worked out from the keys */
	return estimate_sum(type_bytes(m->type_k, k), type_bytes(m->type_v, v));
}

/* Of one layer and slot, in F32: llama_hparams::n_embd_r and n_embd_s. */
static int64_t state_bytes(const struct gguf *g)
{
	const struct gguf_shape *s = &g->shape;
	int64_t inner = s->ssm_inner.largest, state = s->ssm_state.largest;
	int64_t width = estimate_product(estimate_product(2, s->ssm_groups.largest), state);
	int64_t conv =
		estimate_product(larger(s->ssm_conv.largest - 1, 0), estimate_sum(inner, width));
	int64_t n = estimate_sum(conv, estimate_product(inner, state));

	if (s->wkv_head.largest > 0)
		n = estimate_product(g->embedding_length, estimate_sum(s->wkv_head.largest, 2));
	return estimate_product(n, F32_BYTES);
}

static int64_t cache_bytes(const struct gguf *g, const struct option_memory *m)
{
	struct layers l = count_layers(g);
	int64_t cell = cell_bytes(g, m, l.heads_kv);
	int64_t sliding = share(cell, l.sliding, l.attending);
	int64_t attention = estimate_sum(estimate_product(cell - sliding, cache_cells(m)),
					 estimate_product(sliding, window_cells(g, m)));
	int64_t states = estimate_product(estimate_product(state_bytes(g), l.recurrent), m->slots);

	return estimate_sum(attention, states);
}

/* --- compute ------------------------------------------------------------ */

/* The floats of one token that are alive at once where a layer is widest. Seen in the compute
 * buffers of llama.cpp: input, residual, normed and result, with gate, up and their product of the
 * feed forward network; for experts each of those in use, and twice their results; of a state space
 * layer its two inner vectors, three times. */
static int64_t token_floats(const struct gguf *g)
{
	const struct gguf_shape *s = &g->shape;
	int64_t embd = g->embedding_length, expert = s->expert_feed_forward.largest;
	int64_t wide = estimate_product(
		3, larger(s->feed_forward.largest, estimate_product(2, s->ssm_inner.largest)));
	int64_t experts = larger(estimate_product(3, expert),
				 estimate_sum(estimate_product(2, embd), expert));

	experts = estimate_product(s->experts_used.largest, experts);
	return estimate_sum(larger(wide, experts), estimate_product(4, embd));
}

static int64_t compute_bytes(const struct gguf *g, const struct option_memory *m)
{
	int64_t batch = smaller(m->batch, cache_cells(m));
	int64_t seen = count_layers(g).attending > 0 ? cache_cells(m) : 0;
	int64_t mask = estimate_product(seen, F16_BYTES);
	int64_t scores =
		m->flash_attn ? 0
			      : estimate_product(estimate_product(seen, g->head_count), F32_BYTES);
	int64_t token = estimate_sum(estimate_product(token_floats(g), F32_BYTES),
				     estimate_sum(mask, scores));
	int64_t logits =
		estimate_product(estimate_product(g->shape.vocabulary, m->outputs), F32_BYTES);

	return estimate_sum(estimate_product(token, batch), logits);
}

/* Where the device computes: what a batch is handed over in. */
static int64_t input_bytes(const struct gguf *g, const struct option_memory *m)
{
	int64_t floats = estimate_product(2 * F32_BYTES, g->embedding_length);
	int64_t mask = estimate_product(cache_cells(m), F16_BYTES);

	return estimate_product(estimate_sum(floats, mask), smaller(m->batch, cache_cells(m)));
}

/* --- all ---------------------------------------------------------------- */

void estimate_model(const struct gguf *g, const struct option_memory *m, struct estimate *ret)
{
	int64_t on = layers_on_device(g, m), layers = block_count(g);
	int64_t cache = cache_bytes(g, m), compute = compute_bytes(g, m);
	struct estimate e = {0};

	e.device = share(cache, on, layers);
	e.host = cache - e.device;
	add_weights(g, m, &e);
	if (on > 0)
		e.device = estimate_sum(e.device, compute);
	e.host = estimate_sum(e.host, on < layers ? compute : input_bytes(g, m));
	*ret = e;
}
