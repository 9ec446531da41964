/* SPDX-License-Identifier: Apache-2.0 */
#include "model/hub_list.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/split_name.h"

#define EXTENSION ".gguf"
enum { LISTED = 12 };

/* Small and good first, then what is near. */
static const char *const preferred[] = {
	"Q4_K_M", "Q4_K_L", "Q4_K_S", "Q4_K",   "Q4_K_XL", "IQ4_NL", "IQ4_XS", "Q4_1",
	"Q4_0",   "MXFP4",  "Q5_K_M", "Q5_K_S", "Q5_K_L",  "Q5_1",   "Q5_0",   "Q3_K_L",
	"Q6_K",   "Q3_K_M", "Q8_0",   "Q3_K_S", "Q2_K",    "BF16",   "F16",    "F32",
};
/* Of projectors: small beside the model, and worth their bits. Else the smallest. */
static const char *const projector_types[] = {"F16", "BF16", "Q8_0"};
/* What publishers put before a quantisation: the plain one is meant first. */
static const char *const prefixes[] = {"UD", "i1", "imat"};

struct list {
	struct hub_file *files; /* all that end in .gguf */
	size_t count;
	size_t *models; /* files that are a model, or begin one */
	size_t model_count;
};

static void list_done_p(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->files[i].path);
	free(l->files);
	free(l->models);
}

/* --- reading ------------------------------------------------------------ */

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len >= n && strncasecmp(text + len - n, end, n) == 0;
}

static void read_hash(const json_t *lfs, char ret[static HASH_HEX_SIZE])
{
	const char *oid = json_string_value(json_object_get(lfs, "oid"));

	if (oid && strncmp(oid, "sha256:", 7) == 0)
		oid += 7;
	if (oid && hash_is_hex(oid))
		memcpy(ret, oid, HASH_HEX_SIZE);
}

static void add_file(struct list *l, const json_t *entry)
{
	const json_t *lfs = json_object_get(entry, "lfs");
	const json_t *size = json_object_get(lfs ? lfs : entry, "size");
	const char *type = json_string_value(json_object_get(entry, "type"));
	const char *path = json_string_value(json_object_get(entry, "path"));
	struct hub_file f = {.size = json_integer_value(size)};

	if (!path || !type || strcmp(type, "file") != 0 || f.size <= 0 ||
	    !ends_with(path, strlen(path), EXTENSION) || !hub_path_valid(path))
		return;
	read_hash(lfs, f.sha256);
	f.path = mem_dup(path);
	l->files = mem_grow(l->files, l->count + 1, sizeof(*l->files));
	l->files[l->count++] = f;
}

static const struct hub_file *find_file(const struct list *l, const char *path)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->files[i].path, path) == 0)
			return &l->files[i];
	return NULL;
}

/* --- parts -------------------------------------------------------------- */

/* A single file, or a first part whose others are all there. */
static bool begins_a_model(const struct list *l, const char *path)
{
	struct split_name split;

	if (!split_name_parse(path, &split))
		return true;
	if (split.part != 1 || split.count > SPLIT_PARTS_MAX)
		return false;
	for (int i = 2; i <= split.count; i++) {
		CLEANUP(free) char *other = split_name_of(path, &split, i);

		if (!find_file(l, other))
			return false;
	}
	return true;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void find_models(struct list *l)
{
	l->models = mem_alloc((l->count + 1) * sizeof(*l->models));
	for (size_t i = 0; i < l->count; i++) {
		const char *name = base_name(l->files[i].path);

		if (!strcasestr(name, "mmproj") && !strcasestr(name, "imatrix") &&
		    begins_a_model(l, l->files[i].path))
			l->models[l->model_count++] = i;
	}
}

/* --- which one ---------------------------------------------------------- */

/* Does the name end in "-Q4_K_M"? 2: so; 1: after a publisher's prefix. */
static int ends_in(const char *name, size_t len, const char *quant)
{
	size_t n = strlen(quant), before;

	if (!ends_with(name, len, quant) || (len > n && !strchr("-._", name[len - n - 1])))
		return 0;
	before = len > n ? len - n - 1 : 0;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t p = strlen(prefixes[i]);

		if (ends_with(name, before, prefixes[i]) &&
		    (before == p || strchr("-._", name[before - p - 1])))
			return 1;
	}
	return 2;
}

static bool has_folder(const char *path, const char *name)
{
	for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1)
		if ((size_t)(slash - path) == strlen(name) &&
		    strncasecmp(path, name, strlen(name)) == 0)
			return true;
	return false;
}

/* 0: not at all. */
static int fits(const char *path, const char *quant)
{
	const char *name = base_name(path);
	struct split_name split;
	size_t len;
	int how;

	(void)split_name_parse(path, &split);
	len = split.stem - (size_t)(name - path);
	if (strcmp(path, quant) == 0 || strcmp(name, quant) == 0 ||
	    (len == strlen(quant) && strncmp(name, quant, len) == 0))
		return 4;
	how = ends_in(name, len, quant);
	return how ? how + 1 : has_folder(path, quant);
}

/* Those that fit best; ret has room for all. */
static size_t best(const struct list *l, const char *quant, size_t *ret)
{
	int most = 1;
	size_t n = 0;

	for (size_t i = 0; i < l->model_count; i++) {
		int how = fits(l->files[l->models[i]].path, quant);

		if (how > most)
			n = 0;
		if (how >= most) {
			most = how;
			ret[n++] = l->models[i];
		}
	}
	return n;
}

/* "a.gguf, b.gguf and 3 more" */
static char *names(const struct list *l, const size_t *which, size_t count)
{
	CLEANUP(buf_done) struct buf b = {0};

	for (size_t i = 0; i < count && i < LISTED && b.len < 300; i++)
		buf_printf(&b, "%s%.100s", i ? ", " : "", l->files[which[i]].path);
	if (count > LISTED || b.len >= 300)
		buf_str(&b, " …");
	return buf_steal(&b);
}

static bool refuse(const struct list *l, const struct hub_name *n, const size_t *which,
		   size_t count, struct err *e)
{
	CLEANUP(free) char *text = names(l, which, count);

	if (l->model_count == 0)
		return err_set(e, ERR_NOT_FOUND, "%.100s/%.100s has no GGUF file of a model",
			       n->owner, n->repo) ||
		       err_hint(e, "look for a repository whose name ends in GGUF");
	if (which != l->models)
		(void)err_set(e, ERR_INVALID, "several files fit '%.60s': %s",
			      n->quant ? n->quant : n->repo, text);
	else if (n->quant)
		(void)err_set(e, ERR_NOT_FOUND, "no file fits '%.60s'; there are: %s", n->quant,
			      text);
	else
		(void)err_set(e, ERR_INVALID, "which file is meant? There are: %s", text);
	return err_hint(e, "name one: hf:%.60s/%.60s:FILE", n->owner, n->repo);
}

/* NULL: none, or several; e says which. */
static const struct hub_file *choose(const struct list *l, const struct hub_name *n, struct err *e)
{
	CLEANUP(free) size_t *which = mem_alloc((l->count + 1) * sizeof(*which));
	size_t count = n->quant ? best(l, n->quant, which) : 0;

	for (size_t i = 0; i < ARRAY_LEN(preferred) && !n->quant && count == 0; i++)
		count = best(l, preferred[i], which);
	if (count == 0 && !n->quant && l->model_count == 1)
		which[count++] = l->models[0];
	if (count == 1)
		return &l->files[which[0]];
	(void)(count ? refuse(l, n, which, count, e) : refuse(l, n, l->models, l->model_count, e));
	return NULL;
}

/* --- its projector ------------------------------------------------------ */

static bool is_projector(const struct hub_file *f)
{
	struct split_name split;

	return strcasestr(base_name(f->path), "mmproj") && !split_name_parse(f->path, &split);
}

/* The folder that both lie in, or the model below: the deeper, the nearer. 0: elsewhere. */
static size_t nearness(const struct hub_file *f, const char *model)
{
	size_t len = (size_t)(base_name(f->path) - f->path);

	return strncmp(f->path, model, len) == 0 ? len + 1 : 0;
}

static size_t rank(const struct hub_file *f)
{
	size_t len = strlen(f->path) - strlen(EXTENSION), i = 0;

	while (i < ARRAY_LEN(projector_types) && !ends_in(f->path, len, projector_types[i]))
		i++;
	return i;
}

static bool is_better(const struct hub_file *a, const struct hub_file *b, const char *model)
{
	size_t near_a = nearness(a, model), near_b = nearness(b, model);

	if (near_a != near_b)
		return near_a > near_b;
	return rank(a) != rank(b) ? rank(a) < rank(b) : a->size < b->size;
}

static const struct hub_file *best_projector(const struct list *l, const char *model)
{
	const struct hub_file *best = NULL;

	for (size_t i = 0; i < l->count; i++)
		if (is_projector(&l->files[i]) && (!best || is_better(&l->files[i], best, model)))
			best = &l->files[i];
	return best;
}

/* --- the answer --------------------------------------------------------- */

static void add(struct hub_choice *c, const struct hub_file *f)
{
	struct hub_file copy = *f;

	copy.path = mem_dup(f->path);
	c->files = mem_grow(c->files, c->count + 1, sizeof(*c->files));
	c->files[c->count++] = copy;
}

static void fill(const struct list *l, const struct hub_file *first, struct hub_choice *ret)
{
	const struct hub_file *projector;
	struct split_name split;

	(void)split_name_parse(first->path, &split);
	add(ret, first);
	for (int i = 2; i <= split.count; i++) {
		CLEANUP(free) char *other = split_name_of(first->path, &split, i);
		const struct hub_file *next = find_file(l, other);

		if (next) /* begins_a_model() saw it */
			add(ret, next);
	}
	projector = best_projector(l, first->path);
	if (!projector)
		return;
	add(ret, projector);
	ret->count--;
	ret->has_projector = true;
}

bool hub_choose(const json_t *tree, const struct hub_name *name, struct hub_choice *ret,
		struct err *e)
{
	CLEANUP(list_done) struct list l = {0};
	const struct hub_file *first;
	const json_t *entry;
	size_t i;

	json_array_foreach(tree, i, entry)
		add_file(&l, entry);
	find_models(&l);
	first = choose(&l, name, e);
	if (!first)
		return false;
	*ret = (struct hub_choice){0};
	fill(&l, first, ret);
	return true;
}

void hub_choice_done(struct hub_choice *c)
{
	for (size_t i = 0; i < c->count + c->has_projector; i++)
		free(c->files[i].path);
	free(c->files);
	*c = (struct hub_choice){0};
}
