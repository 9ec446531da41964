/* SPDX-License-Identifier: Apache-2.0 */
/* completion: words for a shell, made from the table of commands. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"

static void words(const char *before)
{
	for (const struct command *c = command_table(); c->name; c++)
		printf("%s%s", before, c->name);
	printf("%sserve%sconfig%sversion%shelp", before, before, before, before);
}

static void for_bash(void)
{
	puts("_shunt() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]}\n\tcase $COMP_CWORD in\n\t1)");
	printf("\t\tmapfile -t COMPREPLY < <(compgen -W '");
	words(" ");
	puts("' -- \"$word\")\n\t\t;;\n\t2)\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$(shunt "
	     "status --json "
	     "2>/dev/null |\n\t\t\tsed -n 's/^      \"id\": \"\\(.*\\)\",*$/\\1/p')\" -- "
	     "\"$word\")\n"
	     "\t\t;;\n\t3)\n\t\tmapfile -t COMPREPLY < <(compgen -W 'cpu cuda rocm vulkan' -- "
	     "\"$word\")\n\t\t;;\n\tesac\n}\ncomplete -o default -F _shunt shunt");
}

static void for_zsh(void)
{
	printf("#compdef shunt\n_arguments '1:command:(");
	words(" ");
	puts(")' '*:file:_files'");
}

static void for_fish(void)
{
	puts("complete -c shunt -f -n __fish_use_subcommand");
	for (const struct command *c = command_table(); c->name; c++)
		printf("complete -c shunt -f -n __fish_use_subcommand -a %s -d \"%s\"\n", c->name,
		       c->summary);
}

bool command_completion(const struct cli_options *o, const struct args *a, struct err *e)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} shells[] = {{"bash", for_bash}, {"zsh", for_zsh}, {"fish", for_fish}};

	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (strcmp(a->words[0], shells[i].name) == 0) {
			shells[i].print();
			return true;
		}
	}
	return err_set(e, ERR_INVALID, "completion: unknown shell '%s' (known: bash, zsh, fish)",
		       a->words[0]);
}
