/* SPDX-License-Identifier: Apache-2.0 */
/* Vulkan: headers and the shader compiler to build; the loader and a driver to run. */

#include "backend/vulkan.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/backends.h"
#include "backend/toolkit.h"
#include "base/mem.h"

/* Debian, Fedora, Arch, openSUSE. 1.3.239 is Debian 12's, the oldest that llama.cpp was seen to
 * compile with (with our patch). */
static const struct toolkit_need headers = {
	"Vulkan headers",
	"1.3.239",
	false,
	{"libvulkan-dev", "vulkan-headers", "vulkan-headers", "vulkan-headers"},
};
static const struct toolkit_need library = {
	"Vulkan library",
	"any",
	false,
	{"libvulkan-dev", "vulkan-loader-devel", "vulkan-icd-loader", "vulkan-devel"},
};
static const struct toolkit_need glslc = {
	"glslc",
	"any",
	false,
	{"glslc", "glslc", "shaderc", "shaderc"},
};
static const struct toolkit_need spirv = {
	"SPIR-V headers",
	"any",
	false,
	{"spirv-headers", "spirv-headers-devel", "spirv-headers", "spirv-headers"},
};
static const struct toolkit_need loader = {
	"Vulkan loader",
	"any",
	true,
	{"libvulkan1", "vulkan-loader", "vulkan-icd-loader", "libvulkan1"},
};
static const struct toolkit_need driver = {
	"Vulkan driver",
	"any",
	true,
	{"mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-radeon", "libvulkan_radeon"},
};
static const struct toolkit_need access_needed = {
	"access to /dev/dri",
	"any",
	true,
	{0},
};

bool vulkan_header_version(const char *path, char *ret, size_t size)
{
	char complete[128];
	char number[17];
	char major[8];
	char minor[8];

	if (!toolkit_macro(path, "VK_HEADER_VERSION", number, sizeof(number)) ||
	    !toolkit_macro(path, "VK_HEADER_VERSION_COMPLETE", complete, sizeof(complete)))
		return false;
	/* VK_MAKE_API_VERSION(0, 1, 3, VK_…); VK_MAKE_VERSION(1, 2, VK_…) before 1.2.175 */
	if (sscanf(complete, "%*[^(](%*[0-9], %7[0-9], %7[0-9],", major, minor) != 2 &&
	    sscanf(complete, "%*[^(](%7[0-9], %7[0-9],", major, minor) != 2)
		return false;
	(void)snprintf(ret, size, "%s.%s.%s", major, minor, number);
	return true;
}

/* vulkan.hpp must be there too: some packages split it off. */
static void check_headers(struct toolkit *tk, char *ret_version, size_t size)
{
	CLEANUP(free) char *core = toolkit_header("vulkan/vulkan_core.h", NULL);
	CLEANUP(free) char *hpp = toolkit_header("vulkan/vulkan.hpp", NULL);

	ret_version[0] = '\0';
	if (core != NULL)
		(void)vulkan_header_version(core, ret_version, size);
	if (core != NULL && hpp == NULL)
		toolkit_add_unusable(tk, &headers, "vulkan.hpp is missing");
	else
		toolkit_add(tk, &headers, ret_version[0] ? ret_version : core);
}

/* The first driver file's name without folder: "lvp_icd.x86_64.json". */
static void check_driver(struct toolkit *tk)
{
	glob_t files = {0};
	const char *name = NULL;

	(void)glob("/usr/share/vulkan/icd.d/*.json", 0, NULL, &files);
	(void)glob("/etc/vulkan/icd.d/*.json", GLOB_APPEND, NULL, &files);
	(void)glob("/usr/local/share/vulkan/icd.d/*.json", GLOB_APPEND, NULL, &files);
	if (files.gl_pathc > 0)
		name = strrchr(files.gl_pathv[0], '/') + 1;
	toolkit_add(tk, &driver, name);
	globfree(&files);
}

/* An item only when there is a GPU that we may not open. */
static void check_access(struct toolkit *tk)
{
	glob_t nodes = {0};
	bool usable = false;

	if (glob("/dev/dri/renderD*", 0, NULL, &nodes) == 0) {
		for (size_t i = 0; i < nodes.gl_pathc; i++)
			usable = usable || access(nodes.gl_pathv[i], R_OK | W_OK) == 0;
		if (!usable)
			toolkit_add_unusable(tk, &access_needed,
					     "no permission: add the user to the group render");
	}
	globfree(&nodes);
}

static void check(const struct toolkit_ask *ask, struct toolkit *tk)
{
	CLEANUP(free) char *so = toolkit_library("libvulkan.so");
	CLEANUP(free) char *so1 = toolkit_library("libvulkan.so.1");
	CLEANUP(free) char *spv = toolkit_header("spirv/unified1/spirv.hpp", NULL);
	CLEANUP(free) char *compiler = toolkit_program("glslc", NULL);
	char header[32];
	char shaders[64];

	*tk = (struct toolkit){0};
	check_headers(tk, header, sizeof(header));
	toolkit_add(tk, &library, so);
	toolkit_add_program(tk, &glslc, compiler, NULL, shaders, sizeof(shaders));
	toolkit_add(tk, &spirv, spv);
	toolkit_add(tk, &loader, so1);
	check_driver(tk);
	check_access(tk);
	if (shaders[0] != '\0' && header[0] != '\0')
		(void)snprintf(tk->compiler, sizeof(tk->compiler), "glslc %s, headers %s", shaders,
			       header);
	toolkit_conclude(tk);
}

const struct backend backend_vulkan = {
	.name = "vulkan",
	.title = "Vulkan",
	.aliases = "vk",
	.device_prefix = "Vulkan",
	.module = "libggml-vulkan.so",
	.target = "ggml-vulkan",
	.cmake_flag = "-DGGML_VULKAN=ON",
	.build_disk_bytes = 700LL << 20,
	.build_memory_bytes = 1536LL << 20,
	.device_extra_bytes = 64LL << 20,
	.host_extra_bytes = 192LL << 20,
	.check = check,
};
