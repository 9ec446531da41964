/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <ctype.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum key_type { KEY_TEXT, KEY_COUNT, KEY_BYTES, KEY_TIME };

struct key {
	const char *name;
	enum key_type type;
	size_t offset;
	const char *fallback; /* NULL: worked out in set_places() */
	int64_t min, max;     /* numbers; times in ms */
	const char *help;
};

#define AT(field) offsetof(struct config, field)
#define MB (1024LL * 1024)
/* clang-format off */
static const struct key keys[] = {
	{"listen",          KEY_TEXT,  AT(listen),          "127.0.0.1:7717", 0, 0, "HTTP address; empty for none"},
	{"socket",          KEY_TEXT,  AT(socket),          NULL,             0, 0, "Unix socket of the same API"},
	{"state_dir",       KEY_TEXT,  AT(state_dir),       NULL,             0, 0, "shunt.db, envs/, models/, logs/"},
	{"store_dir",       KEY_TEXT,  AT(store_dir),       NULL,             0, 0, "builds; daemons may share one"},
	{"api_key_file",    KEY_TEXT,  AT(api_key_file),    "",               0, 0, "file with the key that callers must show"},
	{"allowed_hosts",   KEY_TEXT,  AT(allowed_hosts),   "",               0, 0, "names accepted in Host, beside localhost and IP addresses"},
	{"allowed_origins", KEY_TEXT,  AT(allowed_origins), "",               0, 0, "web pages that may call, as https://host"},
	{"hold_timeout",    KEY_TIME,  AT(hold_timeout_ms), "120s",           0, 86400000, "longest wait of a request during a switch"},
	{"hold_limit",      KEY_COUNT, AT(hold_limit),      "512",            0, 100000, "requests that may wait for one model"},
	{"hold_bytes",      KEY_BYTES, AT(hold_bytes),      "256MB",          0, INT64_MAX, "bytes of all waiting requests"},
	{"drain_timeout",   KEY_TIME,  AT(drain_timeout_ms),"60s",            0, 86400000, "longest wait for running requests"},
	{"build_jobs",      KEY_COUNT, AT(build_jobs),      "0",              0, 1024, "parallel compilers; 0: by cores and memory"},
	{"engine_source",   KEY_TEXT,  AT(engine_source),   "",               0, 0, "pip:…, a URL with sha256=…, a folder, an archive"},
	{"engine_cpu",      KEY_TEXT,  AT(engine_cpu),      "native",         0, 0, "CPU that builds are made for: native, x86-64-v3, x86-64-v2"},
	{"worker_env",      KEY_TEXT,  AT(worker_env),      "",               0, 0, "variables for workers: NAME=VALUE …"},
	{"log_level",       KEY_TEXT,  AT(log_level),       "info",           0, 0, "error, warn, info, debug"},
};
/* clang-format on */

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *a = keys[i].name, *b = name;

		while (*a && (*a == *b || (*a == '_' && *b == '-'))) {
			a++;
			b++;
		}
		if (!*a && !*b)
			return &keys[i];
	}
	return NULL;
}

bool config_has(const char *key)
{
	return find_key(key) != NULL;
}

struct unit {
	const char *name;
	int64_t factor;
};

/* "120s", "256MB", "7": digits and a unit of the list; a bare number takes the first unit. */
static bool parse_number(const char *text, const struct unit *units, int64_t *ret)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (end == text || n < 0)
		return false;
	while (*end == ' ')
		end++;
	for (const struct unit *u = units; u->name; u++) {
		if (*end == '\0' || strcasecmp(end, u->name) == 0)
			return !__builtin_mul_overflow(n, u->factor, ret);
	}
	return false;
}

static bool parse_key(const struct key *k, const char *text, int64_t *ret)
{
	static const struct unit counts[] = {{"", 1}, {NULL, 0}};
	static const struct unit bytes[] = {{"B", 1},  {"KB", 1024},      {"MB", MB},
					    {"M", MB}, {"GB", 1024 * MB}, {NULL, 0}};
	static const struct unit times[] = {{"s", 1000},    {"ms", 1},      {"m", 60000},
					    {"min", 60000}, {"h", 3600000}, {NULL, 0}};
	const struct unit *units = k->type == KEY_BYTES  ? bytes
				   : k->type == KEY_TIME ? times
							 : counts;

	return parse_number(text, units, ret) && *ret >= k->min && *ret <= k->max;
}

bool config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	const struct key *k = find_key(key);
	int64_t number;

	if (!k)
		return err_set(e, ERR_INVALID, "unknown setting '%s'", key);
	if (k->type == KEY_TEXT) {
		char **field = (char **)((char *)c + k->offset);

		free(*field);
		*field = mem_dup(value);
		return true;
	}
	if (!parse_key(k, value, &number)) {
		err_set(e, ERR_INVALID, "setting '%s': '%s' is not a %s within its bounds", k->name,
			value,
			k->type == KEY_TIME    ? "time"
			: k->type == KEY_BYTES ? "size"
					       : "number");
		return err_hint(e, "for example %s", k->fallback);
	}
	*(int64_t *)((char *)c + k->offset) = number;
	return true;
}

/* The places of a user's own daemon, or the system's when root. */
static void set_places(struct config *c)
{
	const char *home = getenv("HOME"), *data = getenv("XDG_DATA_HOME"),
		   *run = getenv("XDG_RUNTIME_DIR");
	bool root = geteuid() == 0;

	if (data && data[0] == '/')
		c->state_dir = mem_printf("%s/shunt", data);
	else if (root || !home)
		c->state_dir = mem_dup("/var/lib/shunt");
	else
		c->state_dir = mem_printf("%s/.local/share/shunt", home);
	if (run && run[0] == '/')
		c->socket = mem_printf("%s/shunt/shunt.sock", run);
	else if (root)
		c->socket = mem_dup("/run/shunt/shunt.sock");
	else
		c->socket = mem_printf("%s/shunt.sock", c->state_dir);
}

struct reader {
	struct config *c;
	struct err *e;
};

/* Debian's inih tells the handler no line: the first one refused (0) is what ini_parse_string()
 * returns. */
static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	if (r->e->kind != ERR_NONE)
		return 1;
	if (section[0] && strcmp(section, "shunt") != 0)
		return err_set(r->e, ERR_INVALID, "unknown section [%s]", section);
	return config_set(r->c, name, value, r->e);
}

static bool read_file(struct config *c, const char *file, struct err *e)
{
	CLEANUP(free) char *text = NULL;
	struct reader r = {.c = c, .e = e};
	int line;

	if (!fs_read(file, 1024 * 1024, &text, NULL, e))
		return false;
	line = ini_parse_string(text, on_pair, &r);
	if (e->kind != ERR_NONE)
		return err_wrap(e, "%s:%d", file, line);
	if (line != 0)
		return err_set(e, ERR_INVALID, "%s:%d: not 'key = value'", file, line);
	return true;
}

static char *usual_file(void)
{
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
	char *own = xdg && xdg[0] == '/' ? mem_printf("%s/shunt/shunt.conf", xdg)
		    : home               ? mem_printf("%s/.config/shunt/shunt.conf", home)
					 : NULL;

	if (own && fs_exists(own))
		return own;
	free(own);
	return fs_exists("/etc/shunt/shunt.conf") ? mem_dup("/etc/shunt/shunt.conf") : NULL;
}

static bool read_environment(struct config *c, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		CLEANUP(free) char *name = mem_printf("SHUNT_%s", keys[i].name);
		const char *value;

		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		value = getenv(name);
		if (value && !config_set(c, keys[i].name, value, e))
			return err_wrap(e, "environment variable %s", name);
	}
	return true;
}

bool config_load(const char *file, struct config *ret, struct err *e)
{
	CLEANUP(free) char *usual = file ? NULL : usual_file();
	struct config c = {0};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(keys) && ok; i++)
		if (keys[i].fallback)
			ok = config_set(&c, keys[i].name, keys[i].fallback, e);
	set_places(&c);
	if (ok && (file || usual))
		ok = read_file(&c, file ? file : usual, e);
	if (!ok || !read_environment(&c, e)) {
		config_done(&c);
		return false;
	}
	*ret = c;
	return true;
}

static void show_value(const struct config *c, const struct key *k, struct buf *out)
{
	int64_t number = *(const int64_t *)((const char *)c + k->offset);

	if (k->type == KEY_TEXT) {
		const char *text = *(char *const *)((const char *)c + k->offset);

		buf_printf(out, "%s = %s\n", k->name, text ? text : "");
	} else if (k->type == KEY_TIME && number % 1000 == 0) {
		buf_printf(out, "%s = %" PRId64 "s\n", k->name, number / 1000);
	} else {
		buf_printf(out, "%s = %" PRId64 "%s\n", k->name, number,
			   k->type == KEY_TIME ? "ms" : "");
	}
}

void config_show(const struct config *c, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		buf_printf(out, "# %s\n", keys[i].help);
		show_value(c, &keys[i], out);
	}
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].type == KEY_TEXT)
			free(*(char **)((char *)c + keys[i].offset));
	*c = (struct config){0};
}

void config_words(const char *text, struct strv *ret)
{
	const char *p = text ? text : "";

	while (*p) {
		size_t len = strcspn(p, ", \t");

		if (len > 0) {
			CLEANUP(free) char *word = mem_ndup(p, len);

			strv_add(ret, word);
		}
		p += len;
		p += strspn(p, ", \t");
	}
}
