/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/candidates.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/client.h"

struct asked {
	const struct cli_options *options;
	const char *word; /* what is there of it */
	struct buf *out;
};

static void add(struct asked *a, const char *text, const char *meaning)
{
	if (strncmp(text, a->word, strlen(a->word)) == 0 && !strpbrk(text, "\t\n"))
		buf_printf(a->out, "%s\t%.*s\n", text, (int)strcspn(meaning, "\t\n"), meaning);
}

/* --- what the daemon knows ---------------------------------------------- */

static json_t *get(const struct asked *a, const char *path)
{
	struct err ignored = {0};
	json_t *answer = NULL;

	return client_call(a->options, NULL, NULL, &answer, &ignored, "%s", path) ? answer : NULL;
}

static void add_list(struct asked *a, const char *path, const char *list, const char *name,
		     const char *meaning)
{
	CLEANUP(json_decref) json_t *answer = get(a, path);
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(answer, list), i, item)
		add(a, client_text(item, name), client_text(item, meaning));
}

static void add_models(struct asked *a)
{
	add_list(a, "/llm/api/models", "models", "id", "state");
}

static void add_environments(struct asked *a)
{
	add_list(a, "/llm/api/environments", "environments", "name", "state");
}

static void add_tasks(struct asked *a)
{
	add_list(a, "/tasks", "tasks", "id", "message");
}

static void add_backends(struct asked *a)
{
	static const char *const names[] = {"cpu", "cuda", "rocm", "vulkan"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		add(a, names[i], "");
}

static void add_targets(struct asked *a)
{
	add(a, "auto", "the fastest that is ready");
	add_backends(a);
}

static void add_options(struct asked *a)
{
	CLEANUP(json_decref) json_t *document = get(a, "/openapi.json");
	const json_t *schema =
		json_object_get(json_object_get(json_object_get(document, "components"), "schemas"),
				"ModelOptions");
	const char *name;
	json_t *option;

	json_object_foreach(json_object_get(schema, "properties"), name, option) {
		CLEANUP(free) char *pair = mem_printf("%s=", name);

		add(a, pair, client_text(option, "description"));
	}
}

static void add_files(struct asked *a)
{
	buf_str(a->out, "\t\n");
}

static void add_known_models(struct asked *a)
{
	add(a, "smollm2", "the small one to try");
}

/* --- what a usage says -------------------------------------------------- */

/* Words in capitals stand for something; which `command` decides where two mean different things.
 */
static void add_meant(struct asked *a, const char *command, const char *word)
{
	static const struct {
		const char *word, *command; /* command NULL: any */
		void (*add)(struct asked *a);
	} known[] = {
		{"BACKEND", "switch", add_targets}, {"MODEL", NULL, add_models},
		{"BACKEND", NULL, add_backends},    {"B", NULL, add_backends},
		{"FILE", NULL, add_files},          {"ID", NULL, add_tasks},
		{"KEY=VALUE", NULL, add_options},   {"NAME", "env", add_environments},
		{"NAME", "run", add_models},        {"NAME", NULL, add_known_models},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].word, word) == 0 &&
		    (!known[i].command || strcmp(known[i].command, command) == 0)) {
			known[i].add(a);
			return;
		}
	if (word[0] >= 'a' && word[0] <= 'z')
		add(a, word, "");
}

/* The next word of a usage without its brackets: "…" at its end repeats it, "|" is between
 * alternatives. Flags with their values
 * are left out. False: its end. */
static bool next_word(const char **usage, char *ret, size_t size)
{
	bool flag = false;
	size_t len;

	do {
		const char *end;

		*usage += strspn(*usage, " ");
		len = strcspn(*usage, " ");
		end = memchr(*usage, ']', len);
		flag = flag || strncmp(*usage, "[--", 3) == 0;
		if (!len || !flag)
			break;
		flag = !end;
		*usage += len;
	} while (true);
	if (!len)
		return false;
	(void)snprintf(ret, size, "%.*s", (int)len - (**usage == '['), *usage + (**usage == '['));
	*usage += len;
	ret[strcspn(ret, "]")] = '\0';
	return true;
}

/* Does the alternative begin with the words that are there? A word in capitals is any. */
static bool begins(const char *usage, const char *const *words, int count)
{
	char word[64];

	for (int i = 0; i < count; i++)
		if (!next_word(&usage, word, sizeof(word)) || strcmp(word, "|") == 0 ||
		    (word[0] >= 'a' && word[0] <= 'z' && strcmp(word, words[i]) != 0))
			return false;
	return true;
}

/* words: the positional ones before the one that is asked for. */
static void add_positional(struct asked *a, const struct command *c, const char *const *words,
			   int count)
{
	const char *at = c->usage;
	char word[64];

	do {
		const char *from = at;
		int n = 0;

		while (next_word(&at, word, sizeof(word)) && strcmp(word, "|") != 0) {
			char *repeats = strstr(word, "…");

			if (repeats)
				*repeats = '\0';
			if ((n == count || (repeats && n < count)) && begins(from, words, n))
				add_meant(a, c->name, word);
			n++;
		}
	} while (*at);
}

/* --- flags -------------------------------------------------------------- */

/* The placeholder behind "--id" in "[--id ID]", when that is a flag with a value. */
static bool value_of(const struct command *c, const char *flag, char *ret, size_t size)
{
	CLEANUP(free) char *start = mem_printf("[%s ", flag);
	const char *at = strstr(c->usage, start);

	if (!at)
		return false;
	at += strlen(start);
	(void)snprintf(ret, size, "%.*s", (int)strcspn(at, "]"), at);
	return true;
}

static void add_flags(struct asked *a, const char *flags)
{
	while (*flags) {
		size_t len = strcspn(flags, " =");
		CLEANUP(free) char *flag = mem_printf("--%.*s", (int)len, flags);

		add(a, flag, "");
		flags += len;
		flags += strspn(flags, " =");
	}
	add(a, "--json", "what the API said");
	add(a, "--quiet", "only errors");
	add(a, "--help", "how it is used");
}

static void add_settings(struct asked *a)
{
	const char *name;

	for (size_t i = 0; (name = a->options->setting(i)); i++) {
		CLEANUP(free) char *flag = mem_printf("--%s", name);

		for (char *p = flag; *p; p++)
			if (*p == '_')
				*p = '-';
		add(a, flag, "");
	}
	add(a, "--config", "file of settings");
}

/* --- the line ----------------------------------------------------------- */

/* What main() does without a row in the table. */
static const struct command own[] = {
	{"serve", "", "the daemon, in the foreground", "", 0, 0, NULL},
	{"config", "show", "the settings with their meaning", "", 0, 0, NULL},
	{"version", "", "of this program", "", 0, 0, NULL},
	{"help", "", "the commands", "", 0, 0, NULL},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};

static const struct command *find(const char *name)
{
	const struct command *const tables[] = {command_table(), own};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct command *c = tables[i]; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return c;
	return NULL;
}

static void add_commands(struct asked *a)
{
	for (const struct command *c = command_table(); c->name; c++)
		add(a, c->name, c->summary);
	for (const struct command *c = own; c->name; c++)
		add(a, c->name, c->summary);
}

static void add_of(struct asked *a, const struct command *c, const char *const *words, int count)
{
	const char *positional[ARGS_MAX];
	bool flags = true;
	char value[64];
	int n = 0;

	for (int i = 0; i < count && n < ARGS_MAX; i++) {
		bool flag = flags && strncmp(words[i], "--", 2) == 0;

		flags = flags && strcmp(words[i], "--") != 0;
		if (flag && value_of(c, words[i], value, sizeof(value)) && ++i == count) {
			if (strcmp(value, "ID") != 0) /* a new one */
				add_meant(a, c->name, value);
			return;
		}
		if (!flag)
			positional[n++] = words[i];
	}
	if (flags && a->word[0] == '-')
		add_flags(a, c->flags);
	if (flags && a->word[0] == '-' && strcmp(c->name, "serve") == 0)
		add_settings(a);
	if (a->word[0] != '-')
		add_positional(a, c, positional, n);
}

void candidates(const struct cli_options *o, const char *const *words, int count, struct buf *out)
{
	struct asked a = {o, count ? words[count - 1] : "", out};
	const struct command *c;
	int first = 0;

	while (first < count - 1 && words[first][0] == '-') /* --json switch … */
		first++;
	if (first < count - 1 && (c = find(words[first])))
		add_of(&a, c, words + first + 1, count - first - 2);
	else if (first >= count - 1 && a.word[0] == '-')
		add_flags(&a, "");
	else if (first >= count - 1)
		add_commands(&a);
}
