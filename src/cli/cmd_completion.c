/* SPDX-License-Identifier: Apache-2.0 */
/* completion: scripts that make a shell ask us which words may come next. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/candidates.h"

static const struct {
	const char *name, *script;
} shells[] = {
	{"bash", "_shunt() {\n"
		 "\tlocal line word=${COMP_WORDS[COMP_CWORD]}\n"
		 "\tCOMPREPLY=()\n"
		 "\twhile IFS= read -r line; do\n"
		 "\t\tif [[ $line == $'\\t' ]]; then\n"
		 "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
		 "\t\telse\n"
		 "\t\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\")\n"
		 "\t\tfi\n"
		 "\tdone < <(shunt completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
		 "2>/dev/null)\n"
		 "\tif [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace; fi\n"
		 "}\n"
		 "complete -F _shunt shunt"},
	{"zsh", "#compdef shunt\n"
		"_shunt() {\n"
		"\tlocal line\n"
		"\tlocal -a found shown\n"
		"\tfor line in \"${(@f)$(shunt completion words -- \"${(@)words[2,CURRENT]}\" "
		"2>/dev/null)}\"; do\n"
		"\t\tif [[ $line == $'\\t' ]]; then _files; return; fi\n"
		"\t\t[[ -n $line ]] || continue\n"
		"\t\tfound+=(\"${line%%$'\\t'*}\")\n"
		"\t\tshown+=(\"${line%%$'\\t'*}  ${line#*$'\\t'}\")\n"
		"\tdone\n"
		"\tcompadd -l -d shown -a found\n"
		"}\n"
		"if [[ $funcstack[1] == _shunt ]]; then _shunt \"$@\"; else compdef _shunt shunt; "
		"fi"},
	{"fish", "function __shunt_words\n"
		 "\tset -l words (commandline -opc)\n"
		 "\tset -l word (commandline -ct)\n"
		 "\tset -e words[1]\n"
		 "\tset -l found (shunt completion words -- $words \"$word\" 2>/dev/null)\n"
		 "\tif test \"$found\" = \\t\n"
		 "\t\t__fish_complete_path $word\n"
		 "\telse\n"
		 "\t\tprintf '%s\\n' $found\n"
		 "\tend\n"
		 "end\n"
		 "complete -c shunt -f -a '(__shunt_words)'"},
};

bool command_completion(const struct cli_options *o, const struct args *a, struct err *e)
{
	CLEANUP(buf_done) struct buf out = {0};

	if (strcmp(a->words[0], "words") == 0) {
		candidates(o, a->words + 1, a->count - 1, &out);
		fputs(out.data ? out.data : "", stdout);
		return true;
	}
	if (a->count > 1)
		return err_set(e, ERR_INVALID, "completion: one shell, not %zu words",
			       (size_t)a->count);
	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (strcmp(a->words[0], shells[i].name) == 0) {
			puts(shells[i].script);
			return true;
		}
	}
	return err_set(e, ERR_INVALID, "completion: unknown shell '%s' (known: bash, zsh, fish)",
		       a->words[0]);
}
