/* SPDX-License-Identifier: Apache-2.0 */
/* What of our environment children see: a list of what may, since what may not has no end. */

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/proc.h"

/* Whole names; with '*' at the end, all that begin so. Proxies come in both cases. */
static const char *const allowed[] = {
	"PATH",
	"HOME",
	"USER",
	"LOGNAME",
	"LANG",
	"LC_*",
	"TZ",
	"TMPDIR",
	"TERM",
	"XDG_CACHE_HOME", /* pip, ccache, shader caches */
	"XDG_CONFIG_HOME",
	"XDG_RUNTIME_DIR",
	"CCACHE_DIR",
	"PIP_*",
	"SSL_CERT_FILE",
	"SSL_CERT_DIR",
	"REQUESTS_CA_BUNDLE",
	"CURL_CA_BUNDLE",
};
static const char *const proxies[] = {
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
};

static bool matches(const char *pattern, const char *name, size_t len)
{
	size_t fixed = strlen(pattern);

	if (pattern[fixed - 1] == '*')
		return len >= fixed - 1 && strncmp(pattern, name, fixed - 1) == 0;
	return len == fixed && strncmp(pattern, name, len) == 0;
}

static bool may_pass(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		if (matches(allowed[i], name, len))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(proxies); i++) {
		if (len == strlen(proxies[i]) && strncasecmp(proxies[i], name, len) == 0)
			return true;
	}
	return false;
}

void proc_clean_env(struct strv *ret_env)
{
	if (!getenv("PATH"))
		strv_add(ret_env,
			 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	for (char **var = environ; var && *var; var++) {
		const char *equals = strchr(*var, '=');

		if (equals && may_pass(*var, (size_t)(equals - *var)))
			strv_add(ret_env, *var);
	}
}
