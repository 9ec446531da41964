/* SPDX-License-Identifier: Apache-2.0 */
#include "env/verify_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/http.h"
#include "base/mem.h"
#include "env/verify_crash.h"

#define POLL_MS 100
#define STOP_GRACE_MS 500
#define OUTPUT_LIMIT (64LL << 20) /* a program gone mad must not fill the disk */
/* Answering our own questions takes a little time too: only so much counts as getting on. */
#define CPU_STEP_S 1

/* --- does it get on? ---------------------------------------------------- */

/* CPU time of a process in clock ticks, 0: unknown. */
static int64_t cpu_ticks(pid_t pid)
{
	CLEANUP(free) char *path = mem_printf("/proc/%d/stat", (int)pid);
	CLEANUP(free) char *text = NULL;
	char *p;
	int64_t user;

	/* The second field, a name in brackets, may hold anything. */
	if (!fs_read(path, 4096, &text, NULL, NULL) || !(p = strrchr(text, ')')))
		return 0;
	for (int field = 2; field < 14 && p; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return 0;
	user = strtoll(p, &p, 10);
	return user + strtoll(p, NULL, 10);
}

static bool gets_on(struct verify_server *s)
{
	struct stat st = {0};
	int64_t cpu = cpu_ticks(s->proc.pid), now = clock_ms();

	(void)stat(s->log, &st);
	if (cpu - s->cpu >= CPU_STEP_S * sysconf(_SC_CLK_TCK) || st.st_size != s->printed) {
		s->cpu = cpu;
		s->printed = st.st_size;
		s->moved_ms = now;
	}
	return now - s->moved_ms < s->spec->quiet_ms && st.st_size < OUTPUT_LIMIT;
}

/* Is it time to give up? For http_fetch. */
static bool give_up(void *arg)
{
	struct verify_server *s = arg;

	s->was_cancelled = s->spec->cancelled && s->spec->cancelled(s->spec->arg);
	s->quiet = !s->was_cancelled && !gets_on(s);
	return s->was_cancelled || s->quiet;
}

/* --- why it didn't work ------------------------------------------------- */

static void keep_output(struct verify_server *s)
{
	CLEANUP(free) char *end = fs_tail(s->log, sizeof(s->output) - 1);

	(void)snprintf(s->output, sizeof(s->output), "%s", end);
}

static bool fail_alive(struct verify_server *s, struct err *e)
{
	if (s->was_cancelled)
		return err_set(e, ERR_CANCELLED, "cancelled while the check ran on '%s'",
			       s->spec->device);
	keep_output(s);
	(void)err_set(e, ERR_VERIFY,
		      "llama-server on '%s' made no progress for %d s (no output, no CPU time)",
		      s->spec->device, s->spec->quiet_ms / 1000);
	return err_hint(e, "the driver may hang: look at the kernel's log (dmesg)");
}

static bool fail_dead(struct verify_server *s, int status, struct err *e)
{
	CLEANUP(free) char *who = mem_printf("llama-server on '%s'", s->spec->device);

	keep_output(s);
	return verify_crash(who, status, s->output, e);
}

/* --- life --------------------------------------------------------------- */

static bool spawn(struct verify_server *s, struct err *e)
{
	CLEANUP(free) char *program = fs_join(s->spec->base_dir, "llama-server");
	/* Weights in all memory of the device, no guessing, nothing that is not asked for. The
	 * socket's name is relative: the working folder may lie deep. -lv 4 names the memory. */
	const char *const argv[] = {program,      "--host",      "s.sock",
				    "--alias",    "verify",      "-m",
				    "model.gguf", "--device",    s->spec->device,
				    "-ngl",       "99",          "-c",
				    "1024",       "-b",          "512",
				    "-ub",        "512",         "--parallel",
				    "1",          "--fit",       "off",
				    "-fa",        "on",          "--no-warmup",
				    "--no-ui",    "--cache-ram", "0",
				    "-lv",        "4",           NULL};
	CLEANUP(close)
	int out =
		openat(s->folder, "log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	struct proc_spec spec = {
		.argv = argv,
		.env = s->spec->environ,
		.cwd = s->spec->work_dir,
		.in = -1,
		.out = out,
		.err = out,
		.death_signal = SIGKILL,
		.oom_score_adj = 500,
	};

	if (out < 0)
		return err_sys(e, errno, "'%s'", s->log);
	if (!proc_spawn(&spec, &s->proc, e))
		return err_wrap(e, "starting '%s'", program);
	s->moved_ms = clock_ms();
	return true;
}

static bool healthy(struct verify_server *s)
{
	struct http_request request = {
		.socket = s->socket, .url = "http://localhost/health", .timeout_ms = 2000};
	CLEANUP(http_response_done) struct http_response answer = {0};

	return http_fetch(&request, &answer, NULL) && answer.status == 200;
}

bool verify_server_start(const struct verify_server_spec *spec, struct verify_server *ret,
			 struct err *e)
{
	struct verify_server *s = ret;
	int status = 0;

	*s = (struct verify_server){.spec = spec, .proc = {.pidfd = -1}, .folder = -1};
	s->log = fs_join(spec->work_dir, "log");
	s->folder = open(spec->work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->folder < 0)
		return err_sys(e, errno, "'%s'", spec->work_dir);
	(void)snprintf(s->socket, sizeof(s->socket), "/proc/self/fd/%d/s.sock", s->folder);
	(void)unlinkat(s->folder, "s.sock", 0); /* llama-server never does */
	if (!spawn(s, e))
		return false;
	while (!healthy(s)) {
		if (give_up(s))
			return fail_alive(s, e);
		if (proc_wait(&s->proc, POLL_MS, &status))
			return fail_dead(s, status, e);
	}
	return true;
}

/* --- questions ---------------------------------------------------------- */

/* All log-probabilities, of the logits as they are. Tokens 195 up begin longer characters of UTF-8:
 * after such a one llama-server keeps its answer back for the rest, so it may not choose one. */
static char *question(unsigned int tokens, bool reuse)
{
	CLEANUP(buf_done) struct buf b = {0};

	buf_printf(&b, "{\"n_predict\":1,\"temperature\":0,\"n_probs\":%d,\"cache_prompt\":%s",
		   TEST_MODEL_VOCABULARY, reuse ? "true" : "false");
	for (int i = 195; i < TEST_MODEL_VOCABULARY; i++)
		buf_printf(&b, "%s[%d,false]", i == 195 ? ",\"logit_bias\":[" : ",", i);
	for (unsigned int i = 0; i < tokens; i++)
		buf_printf(&b, "%s%d", i == 0 ? "],\"prompt\":[" : ",", test_model_token(i));
	buf_str(&b, "]}");
	return buf_steal(&b);
}

bool verify_server_ask(struct verify_server *s, unsigned int tokens, bool reuse,
		       struct verify_answer *ret, struct err *e)
{
	CLEANUP(free) char *body = question(tokens, reuse);
	CLEANUP(http_response_done) struct http_response answer = {0};
	struct http_request request = {.socket = s->socket,
				       .url = "http://localhost/completion",
				       .body = body,
				       .cancelled = give_up,
				       .arg = s};
	struct err broken = {0};
	int status = 0;

	s->moved_ms = clock_ms();
	if (!http_fetch(&request, &answer, &broken)) {
		if (s->was_cancelled || s->quiet)
			return fail_alive(s, e);
		if (proc_wait(&s->proc, 2000, &status))
			return fail_dead(s, status, e);
		return err_set(e, ERR_VERIFY, "llama-server on '%s' gave no answer: %s",
			       s->spec->device, broken.msg);
	}
	if (answer.status != 200) {
		keep_output(s);
		return err_set(e, ERR_VERIFY, "llama-server on '%s' refused to answer (%d): %.200s",
			       s->spec->device, answer.status, answer.body);
	}
	return verify_answer_read(answer.body, answer.len, ret, e) ||
	       err_wrap(e, "llama-server on '%s'", s->spec->device);
}

bool verify_server_uses(const struct verify_server *s, const char *device)
{
	CLEANUP(free) char *line = mem_printf(" %s model buffer size", device);
	CLEANUP(free) char *text = NULL;

	return fs_read(s->log, (size_t)OUTPUT_LIMIT, &text, NULL, NULL) && strstr(text, line);
}

void verify_server_stop(struct verify_server *s)
{
	if (s->proc.pid > 0)
		proc_stop(&s->proc, STOP_GRACE_MS);
	if (s->log) /* else these are zeroes */
		close_p(&s->folder);
	free(s->log);
	*s = (struct verify_server){.proc = {.pidfd = -1}, .folder = -1};
}
