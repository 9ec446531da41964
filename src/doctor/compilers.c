/* SPDX-License-Identifier: Apache-2.0 */
/* What every build needs, and Python. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "doctor/scene.h"
#include "doctor/toolkits.h"
#include "engine/python.h"
#include "engine/tools.h"

static void look_at_python(struct findings *f)
{
	CLEANUP(python_done) struct python p = {0};
	struct err e = {0};
	struct finding *new;

	if (python_find(&p, &e)) {
		(void)findings_add(f, FINDING_OK, "python",
				   "Python %s (%s); its venvs are made without ensurepip",
				   p.version, p.program);
		return;
	}
	new = findings_add(f, FINDING_BAD, "python", "%s", e.msg);
	if (strncmp(e.hint, "sudo ", 5) == 0)
		finding_run(new, "%s", e.hint);
	else if (e.hint[0])
		finding_advise(new, "%s", e.hint);
}

void compilers_look(struct findings *f)
{
	struct toolkit tk = {0};
	const struct toolkit_item *pip = NULL;

	tools_check(&tk, true);
	for (int i = 0; i < tk.count; i++) {
		const struct toolkit_item *it = &tk.items[i];

		if (strcmp(it->name, "pip") == 0)
			pip = it;
		else if (strcmp(it->name, "python3") != 0)
			toolkit_finding(it, "build", FINDING_BAD, f);
	}
	look_at_python(f);
	if (pip)
		toolkit_finding(pip, "python", FINDING_BAD, f);
}
