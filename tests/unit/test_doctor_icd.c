/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_fixture.h"

static struct gpu_vulkan *vulkan_has(struct machine *m, const char *name, const char *device,
				     const char *pci, enum gpu_kind kind)
{
	struct gpus *g = &m->gpus;
	struct gpu_vulkan *v;

	g->vulkan = mem_grow(g->vulkan, g->vulkan_count + 1, sizeof(*g->vulkan));
	v = &g->vulkan[g->vulkan_count++];
	*v = (struct gpu_vulkan){.kind = kind};
	(void)snprintf(v->name, sizeof(v->name), "%s", name);
	(void)snprintf(v->device, sizeof(v->device), "%s", device);
	(void)snprintf(v->pci, sizeof(v->pci), "%s", pci);
	(void)snprintf(v->driver, sizeof(v->driver), "Driver 1.2.3");
	return v;
}

static void a_card_with_a_driver_is_one_line(void **state)
{
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	(void)vulkan_has(m, "Card", "Vulkan0", "0000:01:00.0", GPU_DISCRETE);
	machine_look_with(m, icd_look);
	only(m, FINDING_OK, "Vulkan0 is Card, 0000:01:00.0: Driver 1.2.3", NULL, NULL);
}

static void a_card_that_only_vulkan_lacks_is_named(void **state)
{
	struct machine *m = *state;

	(void)machine_has_gpu(m, "nvidia", "nvidia");
	(void)vulkan_has(m, "llvmpipe", "", "", GPU_SOFTWARE);
	machine_look_with(m, icd_look);
	assert_int_equal(m->found.count, 2);
	same("what", m->found.list[0].what,
	     "llvmpipe is a CPU that plays a GPU: llama.cpp leaves it out");
	assert_int_equal(m->found.list[0].state, FINDING_OK);
	same("what", m->found.list[1].what,
	     "Vulkan has no driver for the GPU at 0000:01:00.0 (Card)");
	assert_int_equal(m->found.list[1].state, FINDING_WARN);
	assert_non_null(strstr(m->found.list[1].advice, "NVIDIA_DRIVER_CAPABILITIES=all"));
	m->doctor.backend = backend_find("vulkan");
	machine_look_with(m, icd_look);
	assert_int_equal(m->found.list[1].state, FINDING_BAD);
}

static void a_card_of_another_address_is_known_by_its_uuid(void **state)
{
	struct machine *m = *state;
	struct gpu *card = machine_has_gpu(m, "nvidia", "nvidia");
	struct gpu_vulkan *v = vulkan_has(m, "Card", "Vulkan0", "", GPU_DISCRETE);

	(void)snprintf(card->uuid, sizeof(card->uuid), "GPU-1");
	(void)snprintf(v->uuid, sizeof(v->uuid), "GPU-1");
	machine_look_with(m, icd_look);
	only(m, FINDING_OK, "Vulkan0 is Card: Driver 1.2.3", NULL, NULL);
}

static void a_driver_that_hangs_matters_where_there_is_a_gpu(void **state)
{
	struct machine *m = *state;

	(void)err_set(&m->gpus.vulkan_why_not, ERR_UNAVAILABLE, "it hangs");
	(void)err_hint(&m->gpus.vulkan_why_not, "restart");
	machine_look_with(m, icd_look);
	assert_int_equal(m->found.count, 0);
	(void)machine_has_gpu(m, "amd", "amdgpu");
	machine_look_with(m, icd_look);
	only(m, FINDING_WARN, "it hangs", NULL, "restart");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_start, machine_stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_card_with_a_driver_is_one_line),
		TEST(a_card_that_only_vulkan_lacks_is_named),
		TEST(a_card_of_another_address_is_known_by_its_uuid),
		TEST(a_driver_that_hangs_matters_where_there_is_a_gpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
