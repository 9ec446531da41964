/* SPDX-License-Identifier: Apache-2.0 */
/* Which route a name leads to: found without a lock, changed by a new list. */

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "switch/route_priv.h"

struct alias {
	char *name;
	struct route *route;
};

/* An immutable list. Old ones stay until the end (a reader may still look at them): one per model
 * added or named anew, so bounded by what people register. */
struct route_table {
	struct route_table *older;
	size_t count, alias_count;
	struct alias *aliases;
	struct route *routes[];
};

struct routes *routes_new(const struct route_limits *limits)
{
	struct routes *rs = mem_alloc(sizeof(*rs));

	rs->limits = *limits;
	pthread_mutex_init(&rs->lock, NULL);
	atomic_store(&rs->table, mem_alloc(sizeof(struct route_table)));
	return rs;
}

static void free_table(struct route_table *t)
{
	for (size_t i = 0; i < t->alias_count; i++)
		free(t->aliases[i].name);
	free(t->aliases);
	free(t);
}

void routes_free(struct routes *rs)
{
	struct route_table *t;

	if (!rs)
		return;
	t = atomic_load(&rs->table);
	for (size_t i = 0; i < t->count; i++)
		route_free(t->routes[i]);
	while (t) {
		struct route_table *older = t->older;

		free_table(t);
		t = older;
	}
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

static struct route *look_up(const struct route_table *t, const char *id)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->routes[i]->id, id) == 0)
			return t->routes[i];
	return NULL;
}

struct route *routes_find(struct routes *rs, const char *name)
{
	const struct route_table *t = atomic_load_explicit(&rs->table, memory_order_acquire);
	struct route *r = look_up(t, name);

	for (size_t i = 0; (!r || atomic_load(&r->removed)) && i < t->alias_count; i++)
		if (strcmp(t->aliases[i].name, name) == 0)
			return t->aliases[i].route;
	return r;
}

static void add_alias(struct route_table *t, const char *name, struct route *r)
{
	t->aliases = mem_grow(t->aliases, t->alias_count + 1, sizeof(*t->aliases));
	t->aliases[t->alias_count++] = (struct alias){.name = mem_dup(name), .route = r};
}

/* With room for one more route; without the aliases of one, which may be NULL. */
static struct route_table *copy(struct route_table *old, const struct route *nameless)
{
	struct route_table *t = mem_alloc(sizeof(*t) + (old->count + 1) * sizeof(struct route *));

	memcpy(t->routes, old->routes, old->count * sizeof(struct route *));
	t->count = old->count;
	t->older = old;
	for (size_t i = 0; i < old->alias_count; i++)
		if (old->aliases[i].route != nameless)
			add_alias(t, old->aliases[i].name, old->aliases[i].route);
	return t;
}

struct route *routes_add(struct routes *rs, const char *model_id)
{
	struct route_table *old, *t;
	struct route *r;

	pthread_mutex_lock(&rs->lock);
	old = atomic_load(&rs->table);
	r = look_up(old, model_id);
	if (!r) {
		r = route_new(rs, model_id);
		t = copy(old, NULL);
		t->routes[t->count++] = r;
		atomic_store_explicit(&rs->table, t, memory_order_release);
	}
	pthread_mutex_unlock(&rs->lock);

	route_set_removed(r, false);
	return r;
}

static bool has_aliases(const struct route_table *t, const struct route *r,
			const struct strv *names)
{
	size_t n = 0;

	for (size_t i = 0; i < t->alias_count; i++) {
		if (t->aliases[i].route != r)
			continue;
		if (n == names->count || strcmp(t->aliases[i].name, names->items[n]) != 0)
			return false;
		n++;
	}
	return n == names->count;
}

void routes_set_aliases(struct routes *rs, const char *model_id, const struct strv *aliases)
{
	struct route_table *old, *t;
	struct route *r;

	pthread_mutex_lock(&rs->lock);
	old = atomic_load(&rs->table);
	r = look_up(old, model_id);
	if (r && !has_aliases(old, r, aliases)) {
		t = copy(old, r);
		for (size_t i = 0; i < aliases->count; i++)
			add_alias(t, aliases->items[i], r);
		atomic_store_explicit(&rs->table, t, memory_order_release);
	}
	pthread_mutex_unlock(&rs->lock);
}

void routes_remove(struct routes *rs, const char *model_id)
{
	struct route *r = look_up(atomic_load(&rs->table), model_id);
	struct strv none = {0};

	if (!r)
		return;
	routes_set_aliases(rs, model_id, &none);
	route_set_removed(r, true);
	route_close(r, NULL);
}

void routes_close(struct routes *rs, const struct err *why)
{
	const struct route_table *t = atomic_load_explicit(&rs->table, memory_order_acquire);

	for (size_t i = 0; i < t->count; i++)
		route_close(t->routes[i], why);
}
