/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <sys/stat.h>

#include "doctor/access.h"
#include "doctor_fixture.h"

enum { RENDER = 105, VIDEO = 44 };

static const char groups[] = "root:x:0:\nvideo:x:44:bob\nrender:x:105:alice,bob\n";
static const gid_t own_only[] = {1000};
static const gid_t with_render[] = {1000, RENDER};

static const struct node render_node = {.path = "/dev/dri/renderD128", .gid = RENDER, .mode = 0660};

static void judge(struct machine *m, const struct node *n, const struct caller *c)
{
	findings_done(&m->found);
	machine_has(m, "/etc/group", groups);
	scene_read(&m->doctor, &m->scene);
	access_judge(&m->scene, n, c, &m->found);
}

static void who_is_not_in_the_group_is_added(void **state)
{
	const struct caller carol = {1000, "carol", own_only, 1};
	struct machine *m = *state;

	judge(m, &render_node, &carol);
	only(m, FINDING_BAD, "/dev/dri/renderD128: 'carol' is not in its group, render",
	     "sudo usermod -aG render carol", "then log out and in, and start the daemon again");
}

static void who_was_added_since_logs_in_again(void **state)
{
	const struct caller alice = {1000, "alice", own_only, 1};
	struct machine *m = *state;

	judge(m, &render_node, &alice);
	only(m, FINDING_BAD,
	     "/dev/dri/renderD128: 'alice' was added to the group render, and runs without it "
	     "since "
	     "before",
	     "newgrp render", "and start the daemon in that shell; or log out and in");
}

static void a_service_is_started_again(void **state)
{
	const struct caller shunt = {998, "shunt", own_only, 1};
	const struct caller bob = {998, "bob", own_only, 1};
	const struct caller dynamic = {61184, "", own_only, 1};
	struct machine *m = *state;

	judge(m, &render_node, &shunt);
	only(m, FINDING_BAD, "/dev/dri/renderD128: 'shunt' is not in its group, render",
	     "sudo usermod -aG render shunt && sudo systemctl restart shunt", NULL);
	judge(m, &render_node, &bob);
	only(m, FINDING_BAD,
	     "/dev/dri/renderD128: 'bob' was added to the group render, and runs without it since "
	     "before",
	     "sudo systemctl restart shunt", NULL);
	judge(m, &render_node, &dynamic);
	only(m, FINDING_BAD, "/dev/dri/renderD128: the service is not in its group, render",
	     "sudo systemctl edit shunt",
	     "there: [Service] SupplementaryGroups=render; then sudo systemctl restart shunt");
}

static void a_group_of_the_host_has_only_a_number(void **state)
{
	const struct caller carol = {1000, "carol", own_only, 1};
	const struct node kfd = {.path = "/dev/kfd", .gid = 992, .mode = 0660};
	struct machine *m = *state;

	machine_has(m, "/.dockerenv", "");
	judge(m, &kfd, &carol);
	only(m, FINDING_BAD, "/dev/kfd: belongs to the host's group 992, which we are not in",
	     "--group-add 992", "to the command that starts the container");
}

static void who_has_the_right_and_is_refused_is_in_a_sandbox(void **state)
{
	const struct caller alice = {1000, "alice", with_render, 2};
	struct machine *m = *state;

	judge(m, &render_node, &alice);
	only(m, FINDING_BAD,
	     "/dev/dri/renderD128: we may open it by its owner and groups, and are refused", NULL,
	     "a control group or sandbox forbids it: DeviceAllow= or PrivateDevices= of the "
	     "service, SELinux, AppArmor");
	machine_has(m, "/run/.containerenv", "");
	judge(m, &render_node, &alice);
	same("command", m->found.list[0].command,
	     "podman run --device /dev/kfd --device /dev/dri --group-add keep-groups …");
}

static void a_device_of_root_alone_needs_udev(void **state)
{
	const struct caller alice = {1000, "alice", with_render, 2};
	const struct node dri = {.path = "/dev/dri/renderD128", .gid = 0, .mode = 0600};
	const struct node nvidia = {.path = "/dev/nvidia0", .gid = 0, .mode = 0660};
	struct machine *m = *state;

	judge(m, &dri, &alice);
	only(m, FINDING_BAD, "/dev/dri/renderD128: no group but root's may open it (mode 0600)",
	     "sudo chgrp render /dev/dri/renderD128 && sudo chmod 660 /dev/dri/renderD128",
	     "udev does it at each start, where it runs");
	judge(m, &nvidia, &alice);
	only(m, FINDING_BAD, "/dev/nvidia0: no group but root's may open it (mode 0660)", NULL,
	     "its mode is NVreg_DeviceFileMode of the module nvidia, in /etc/modprobe.d: 0666 is "
	     "usual");
}

static void strange_groups_are_no_one_s(void **state)
{
	const struct caller carol = {1000, "carol", own_only, 1};
	struct machine *m = *state;

	judge(m, &render_node, &carol);
	machine_has(m, "/etc/group", "\n:\n::\nrender\nx:y\nrender:x:105\nvideo:x::\n");
	findings_done(&m->found);
	access_judge(&m->scene, &render_node, &carol, &m->found);
	same("what", m->found.list[0].what,
	     "/dev/dri/renderD128: 'carol' is not in its group, render");
}

static void what_may_be_opened_is_one_line_a_kind(void **state)
{
	struct machine *m = *state;

	machine_look_with(m, access_look);
	assert_int_equal(m->found.count, 0);
	machine_has(m, "/dev/dri/renderD128", "");
	machine_look_with(m, access_look);
	only(m, FINDING_OK, "/dev/dri/renderD128: may be opened", NULL, NULL);
	machine_has(m, "/dev/dri/renderD129", "");
	machine_look_with(m, access_look);
	only(m, FINDING_OK, "/dev/dri/renderD128: may be opened, all others of its kind, too", NULL,
	     NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_start, machine_stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_not_in_the_group_is_added),
		TEST(who_was_added_since_logs_in_again),
		TEST(a_service_is_started_again),
		TEST(a_group_of_the_host_has_only_a_number),
		TEST(who_has_the_right_and_is_refused_is_in_a_sandbox),
		TEST(a_device_of_root_alone_needs_udev),
		TEST(strange_groups_are_no_one_s),
		TEST(what_may_be_opened_is_one_line_a_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
