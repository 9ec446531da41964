/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "daemon/config_file.h"
#include "daemon/config_value.h"

struct key {
	const char *name;
	enum value_type type;
	size_t offset;
	const char *fallback;  /* NULL: worked out in set_places() */
	int64_t max;           /* of numbers; times in ms */
	value_check_fn *check; /* of texts; NULL: anything */
	const char *help;
};

#define AT(field) offsetof(struct config, field)
#define DAY 86400000
#define TB (1LL << 40)
/* clang-format off */
static const struct key keys[] = {
	{"listen",          VALUE_TEXT,  AT(listen),          "127.0.0.1:7717", 0, NULL, "HTTP address; \"\" for none"},
	{"socket",          VALUE_PATH,  AT(socket),          NULL,    0, NULL,               "Unix socket of the same API; \"\" for none"},
	{"state_dir",       VALUE_PATH,  AT(state_dir),       NULL,    0, value_is_given,     "shunt.db, envs/, models/, logs/"},
	{"store_dir",       VALUE_PATH,  AT(store_dir),       "",      0, NULL,               "builds; daemons may share one"},
	{"api_key_file",    VALUE_PATH,  AT(api_key_file),    "",      0, NULL,               "file with the key that callers must show"},
	{"allowed_hosts",   VALUE_TEXT,  AT(allowed_hosts),   "",      0, NULL,               "names accepted in Host, beside localhost and IP addresses"},
	{"allowed_origins", VALUE_TEXT,  AT(allowed_origins), "",      0, value_is_origins,   "web pages that may call, as https://host"},
	{"idle_unload",     VALUE_TIME,  AT(idle_unload_ms),  "0s",    365LL * DAY, NULL,     "unload a model nobody asked for so long; 0: never"},
	{"hold_timeout",    VALUE_TIME,  AT(hold_timeout_ms), "120s",  DAY, NULL,             "longest wait of a request during a switch"},
	{"hold_limit",      VALUE_COUNT, AT(hold_limit),      "512",   100000, NULL,          "requests that may wait for one model"},
	{"hold_bytes",      VALUE_BYTES, AT(hold_bytes),      "256MB", TB, NULL,              "bytes of all waiting requests"},
	{"drain_timeout",   VALUE_TIME,  AT(drain_timeout_ms),"60s",   DAY, NULL,             "longest wait for running requests"},
	{"stall_timeout",   VALUE_TIME,  AT(stall_timeout_ms),"120s",  DAY, NULL,             "longest time without progress of a worker; 0: any"},
	{"worker_growth",   VALUE_BYTES, AT(worker_growth),   "0",     TB, NULL,              "memory that a worker may gain; 0: until the machine's is short"},
	{"context_bytes",   VALUE_BYTES, AT(context_bytes),   "8GB",   TB, NULL,              "conversations of a model that move along or are kept; 0: none"},
	{"memory_limit",    VALUE_BYTES, AT(memory_limit),    "0",     TB, NULL,              "RAM that models may use together; 0: what the machine has"},
	{"build_jobs",      VALUE_COUNT, AT(build_jobs),      "0",     1024, NULL,            "parallel compilers; 0: by cores and memory"},
	{"build_priority",  VALUE_TEXT,  AT(build_priority),  "idle",  0, value_is_priority,  "idle: compilers take the time that nobody else wants; normal"},
	{"engine_source",   VALUE_TEXT,  AT(engine_source),   "",      0, NULL,               "pip:…, a URL with sha256=…, a folder, an archive"},
	{"engine_cpu",      VALUE_TEXT,  AT(engine_cpu),      "native", 0, value_is_cpu,      "CPU that builds are made for: native, x86-64-v4, x86-64-v3, x86-64-v2"},
	{"toolkit_provision", VALUE_TEXT, AT(toolkit_provision), "ask", 0, value_is_provision, "compilers that pip has: ask, auto: fetched where none is installed, never"},
	{"worker_env",      VALUE_TEXT,  AT(worker_env),      "",      0, value_is_variables, "variables for workers: NAME=VALUE …"},
	{"hf_endpoint",     VALUE_TEXT,  AT(hf_endpoint),     "https://huggingface.co", 0, value_is_endpoint, "where hf: models come from: Hugging Face, or a mirror"},
	{"hf_token_file",   VALUE_PATH,  AT(hf_token_file),   "",      0, NULL,               "file with the token for private models; goes to hf_endpoint only"},
	{"offline",         VALUE_TEXT,  AT(offline),         "no",    0, value_is_yes_no,    "yes: nothing is fetched, neither models nor what environments need"},
	{"fetch_media",     VALUE_TEXT,  AT(fetch_media),     "no",    0, value_is_yes_no,    "yes: workers fetch images and sound that requests name by http"},
	{"log_level",       VALUE_TEXT,  AT(log_level),       "info",  0, value_is_level,     "error, warn, info, debug"},
};
/* clang-format on */

static bool is_text(const struct key *k)
{
	return k->type == VALUE_TEXT || k->type == VALUE_PATH;
}

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

const char *config_key(size_t i)
{
	return i < ARRAY_LEN(keys) ? keys[i].name : NULL;
}

static bool unknown(const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf known = {0};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", keys[i].name);
	(void)err_set(e, ERR_INVALID, "unknown setting '%.64s'", name);
	return err_hint(e, "known: %s", known.data);
}

/* The value without the space around it, or without a pair of quotes, which keep their space. */
static char *plain(const char *text)
{
	size_t len = 0;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && isblank((unsigned char)text[len - 1]))
		len--;
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"' &&
	    memchr(text + 1, '"', len - 2) == NULL)
		return mem_ndup(text + 1, len - 2);
	return mem_ndup(text, len);
}

/* Paths are used from other folders too. */
static char *absolute(const char *path)
{
	CLEANUP(free) char *here = path[0] && path[0] != '/' ? getcwd(NULL, 0) : NULL;

	return here ? fs_join(here, path) : mem_dup(path);
}

static bool set_text(char **field, const struct key *k, const char *value, struct err *e)
{
	for (const char *p = value; *p; p++) {
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return err_set(e, ERR_INVALID, "has a control character in it");
	}
	if (k->check && !k->check(value, e))
		return false;
	free(*field);
	*field = k->type == VALUE_PATH ? absolute(value) : mem_dup(value);
	return true;
}

static bool set_number(int64_t *field, const struct key *k, const char *value, struct err *e)
{
	static const char *const what[] = {
		[VALUE_COUNT] = "number", [VALUE_BYTES] = "size", [VALUE_TIME] = "time"};
	int64_t number = 0;
	char most[32];

	if (value_number(k->type, value, &number) && number <= k->max) {
		*field = number;
		return true;
	}
	value_show(k->type, k->max, most, sizeof(most));
	(void)err_set(e, ERR_INVALID, "'%.64s' is not a %s from 0 to %s", value, what[k->type],
		      most);
	return err_hint(e, "for example %s", k->fallback);
}

bool config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	const struct key *k = find_key(key);
	CLEANUP(free) char *text = plain(value);
	char *field = (char *)c;

	if (!k)
		return unknown(key, e);
	field += k->offset;
	if (is_text(k) ? set_text((char **)(void *)field, k, text, e)
		       : set_number((int64_t *)(void *)field, k, text, e))
		return true;
	return err_wrap(e, "setting '%s'", k->name);
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
	int lines[ARRAY_LEN(keys)]; /* where each key was, 0: not yet */
};

static bool on_pair(void *arg, int line, const char *name, const char *value, struct err *e)
{
	struct reader *r = arg;
	const struct key *k = find_key(name);
	CLEANUP(free) char *text = plain(value);

	if (!k)
		return unknown(name, e);
	if (r->lines[k - keys] > 0)
		return err_set(e, ERR_INVALID, "setting '%s' stands on line %d already", k->name,
			       r->lines[k - keys]);
	r->lines[k - keys] = line;
	if (k->type == VALUE_PATH && text[0] && text[0] != '/') {
		(void)err_set(e, ERR_INVALID, "setting '%s': '%.64s' does not begin with '/'",
			      k->name, text);
		return err_hint(e, "a file has no folder of its own: write the whole path");
	}
	return config_set(r->c, name, value, e);
}

static bool read_file(struct config *c, const char *file, struct err *e)
{
	struct reader r = {.c = c};

	return config_file_read(file, on_pair, &r, e);
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

char *config_store_dir(const struct config *c)
{
	return c->store_dir[0] ? mem_dup(c->store_dir) : fs_join(c->state_dir, "store");
}

/* In quotes where plain() would take something away: nothing, or space at an end. */
static void show_text(const char *name, const char *text, struct buf *out)
{
	size_t len = strlen(text);
	bool quote = len == 0 || isblank((unsigned char)text[0]) ||
		     isblank((unsigned char)text[len - 1]);

	buf_printf(out, quote ? "%s = \"%s\"\n" : "%s = %s\n", name, text);
}

static void show_key(const struct config *c, const struct key *k, struct buf *out)
{
	const char *field = (const char *)c + k->offset;
	char number[32];

	if (is_text(k)) {
		show_text(k->name, *(char *const *)(const void *)field, out);
		return;
	}
	value_show(k->type, *(const int64_t *)(const void *)field, number, sizeof(number));
	buf_printf(out, "%s = %s\n", k->name, number);
}

void config_show(const struct config *c, struct buf *out)
{
	CLEANUP(free) char *store = config_store_dir(c);
	struct config shown = *c;

	shown.store_dir = store; /* where it is, not that nobody chose */
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		buf_printf(out, "# %s\n", keys[i].help);
		show_key(&shown, &keys[i], out);
	}
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (is_text(&keys[i]))
			free(*(char **)(void *)((char *)c + keys[i].offset));
	*c = (struct config){0};
}
