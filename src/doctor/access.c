/* SPDX-License-Identifier: Apache-2.0 */
/* Who may open the GPUs: the groups that are in force, beside those that /etc/group names. */

#include "doctor/access.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static const char topic[] = "access";

/* --- /etc/passwd and /etc/group ----------------------------------------- */

/* Their lines are name:x:id:…; calls back until one says true. */
typedef bool entry_fn(void *arg, const char *name, unsigned long id, char *rest /* NULL: none */);

static bool find_entry(const struct scene *s, const char *path, entry_fn *fn, void *arg)
{
	CLEANUP(free) char *text = scene_text(s, path);
	char *next = text, *line;

	while (next && (line = strsep(&next, "\n"))) {
		const char *name = strsep(&line, ":");
		char *id;

		(void)strsep(&line, ":");
		id = strsep(&line, ":");
		if (id && id[0] && fn(arg, name, strtoul(id, NULL, 10), line))
			return true;
	}
	return false;
}

struct group {
	gid_t gid;
	const char *user;
	char name[64];
	bool has_user;
};

static bool is_group(void *arg, const char *name, unsigned long id, char *members)
{
	struct group *g = arg;
	const char *m;

	if (id != g->gid)
		return false;
	(void)snprintf(g->name, sizeof(g->name), "%s", name);
	while (members && (m = strsep(&members, ",")))
		g->has_user = g->has_user || (m[0] && strcmp(m, g->user) == 0);
	return true;
}

struct user {
	uid_t uid;
	char name[64];
};

static bool is_user(void *arg, const char *name, unsigned long id, char *rest)
{
	struct user *u = arg;

	if (id != u->uid)
		return false;
	(void)snprintf(u->name, sizeof(u->name), "%s", name);
	return true;
}

/* --- the judgement ------------------------------------------------------ */

static bool in_force(const struct caller *c, gid_t gid)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->gids[i] == gid)
			return true;
	return false;
}

/* A service, not a person who logs in. */
static bool is_service(const struct caller *c)
{
	return !c->name[0] || (c->uid > 0 && c->uid < 1000);
}

/* Neither a container nor the kernel's rights, which it has. */
static void forbidden(const struct scene *s, const struct node *n, struct findings *f)
{
	struct finding *new = findings_add(
		f, FINDING_BAD, topic,
		"%s: we may open it by its owner and groups, and are refused", n->path);

	if (s->container != CONTAINER_NONE)
		container_advise(s, strstr(n->path, "nvidia") ? "nvidia" : "amd", new);
	else
		finding_advise(new, "a control group or sandbox forbids it: DeviceAllow= or "
				    "PrivateDevices= of the service, SELinux, AppArmor");
}

static void no_group(const struct node *n, struct findings *f)
{
	struct finding *new = findings_add(f, FINDING_BAD, topic,
					   "%s: no group but root's may open it (mode %04o)",
					   n->path, (unsigned)(n->mode & 0777));

	if (strstr(n->path, "nvidia"))
		finding_advise(new, "its mode is NVreg_DeviceFileMode of the module nvidia, in "
				    "/etc/modprobe.d: 0666 is usual");
	else
		finding_run(new, "sudo chgrp render %s && sudo chmod 660 %s", n->path, n->path);
	if (!new->advice)
		finding_advise(new, "udev does it at each start, where it runs");
}

static void add_service(const struct caller *c, const struct group *g, struct finding *new)
{
	if (c->name[0]) {
		finding_run(new, "sudo usermod -aG %s %s && sudo systemctl restart shunt", g->name,
			    c->name);
		return;
	}
	finding_run(new, "sudo systemctl edit shunt");
	finding_advise(new,
		       "there: [Service] SupplementaryGroups=%s; then sudo systemctl restart "
		       "shunt",
		       g->name);
}

/* In /etc/group, and not in force: groups are read at login. */
static void not_yet(const struct node *n, const struct caller *c, const struct group *g,
		    struct findings *f)
{
	struct finding *new =
		findings_add(f, FINDING_BAD, topic,
			     "%s: '%s' was added to the group %s, and runs without it since before",
			     n->path, c->name, g->name);

	if (is_service(c)) {
		finding_run(new, "sudo systemctl restart shunt");
	} else {
		finding_run(new, "newgrp %s", g->name);
		finding_advise(new, "and start the daemon in that shell; or log out and in");
	}
}

static void not_a_member(const struct scene *s, const struct node *n, const struct caller *c,
			 struct group *g, struct findings *f)
{
	struct finding *new;

	if (!g->name[0] && s->container != CONTAINER_NONE) {
		new = findings_add(f, FINDING_BAD, topic,
				   "%s: belongs to the host's group %u, which we are not in",
				   n->path, (unsigned)g->gid);
		finding_run(new, "--group-add %u", (unsigned)g->gid);
		finding_advise(new, "to the command that starts the container");
		return;
	}
	if (!g->name[0])
		(void)snprintf(g->name, sizeof(g->name), "%u", (unsigned)g->gid);
	new = findings_add(f, FINDING_BAD, topic, "%s: %s%s%s is not in its group, %s", n->path,
			   c->name[0] ? "'" : "", c->name[0] ? c->name : "the service",
			   c->name[0] ? "'" : "", g->name);
	if (is_service(c)) {
		add_service(c, g, new);
	} else {
		finding_run(new, "sudo usermod -aG %s %s", g->name, c->name);
		finding_advise(new, "then log out and in, and start the daemon again");
	}
}

void access_judge(const struct scene *s, const struct node *n, const struct caller *c,
		  struct findings *f)
{
	struct group g = {.gid = n->gid, .user = c->name};

	(void)find_entry(s, "/etc/group", is_group, &g);
	if ((n->mode & 06) == 06 || (in_force(c, n->gid) && (n->mode & 060) == 060) ||
	    (n->uid == c->uid && (n->mode & 0600) == 0600))
		forbidden(s, n, f);
	else if ((n->mode & 060) != 060 || n->gid == 0)
		no_group(n, f);
	else if (g.has_user && c->name[0])
		not_yet(n, c, &g, f);
	else
		not_a_member(s, n, c, &g, f);
}

/* --- the facts ---------------------------------------------------------- */

enum { GROUPS_MAX = 1024 };

/* Of a kind, the first that may not be opened, else all in one. */
static void look_at_kind(const struct scene *s, const char *pattern, const struct caller *c,
			 struct findings *f)
{
	CLEANUP(free) char *full = scene_path(s, pattern);
	size_t skip = strlen(s->d->root), at = 0;
	glob_t nodes = {0};
	struct stat st;

	if (glob(full, 0, NULL, &nodes) == 0) {
		while (at < nodes.gl_pathc && access(nodes.gl_pathv[at], R_OK | W_OK) == 0)
			at++;
		if (at == nodes.gl_pathc)
			(void)findings_add(f, FINDING_OK, topic, "%s: may be opened%s",
					   nodes.gl_pathv[0] + skip,
					   at > 1 ? ", all others of its kind, too" : "");
		else if (stat(nodes.gl_pathv[at], &st) == 0)
			access_judge(s,
				     &(struct node){.path = nodes.gl_pathv[at] + skip,
						    .uid = st.st_uid,
						    .gid = st.st_gid,
						    .mode = st.st_mode},
				     c, f);
	}
	globfree(&nodes);
}

void access_look(const struct scene *s, struct findings *f)
{
	static const char *const kinds[] = {"/dev/dri/renderD*", "/dev/kfd",
					    "/dev/nvidiactl",    "/dev/nvidia[0-9]*",
					    "/dev/nvidia-uvm",   "/dev/dxg"};
	gid_t gids[GROUPS_MAX + 1];
	struct user user = {.uid = geteuid()};
	struct caller c = {.uid = user.uid, .gids = gids};
	int more;

	gids[0] = getegid();
	more = getgroups(GROUPS_MAX, gids + 1);
	c.count = 1 + (more > 0 ? (size_t)more : 0);
	(void)find_entry(s, "/etc/passwd", is_user, &user);
	c.name = user.name;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		look_at_kind(s, kinds[i], &c, f);
}
