/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about processes, and what a wait status means. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/proc_priv.h"

/* At most size - 1 bytes of /proc/<pid>/<name>, NUL-terminated; false when there are none. */
static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, text, size - 1);
	if (fd < 0 || n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The word at that place, counted from 1; NULL past the end. */
static const char *word_at(const char *text, int place)
{
	while (--place > 0) {
		text = strchr(text, ' ');
		if (!text)
			return NULL;
		text++;
	}
	return text;
}

bool proc_stat(pid_t pid, struct proc_stat *ret)
{
	char text[1024];
	const char *rest, *parent, *session, *start;

	if (pid <= 0 || !read_proc(pid, "stat", text, sizeof(text)))
		return false;
	rest = strrchr(text, ')'); /* the name before it may hold anything */
	if (!rest || rest[1] == '\0')
		return false;
	rest += 2; /* field 3 */
	parent = word_at(rest, 4 - 2);
	session = word_at(rest, 6 - 2);
	start = word_at(rest, 22 - 2);
	if (!parent || !session || !start)
		return false;
	ret->state = rest[0];
	ret->parent = (pid_t)strtol(parent, NULL, 10);
	ret->session = (pid_t)strtol(session, NULL, 10);
	ret->start_time = strtoull(start, NULL, 10);
	return true;
}

/* What getdents64 writes; libc's readdir() allocates. */
struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short len;
	unsigned char type;
	char name[];
};

void proc_each(void (*fn)(void *arg, pid_t pid), void *arg)
{
	CLEANUP(close) int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct entry) char list[8192];
	long n;

	while (fd >= 0 && (n = syscall(SYS_getdents64, fd, list, sizeof(list))) > 0) {
		const struct entry *entry;

		for (long at = 0; at < n; at += entry->len) {
			char *end = NULL;
			long pid;

			entry = (const struct entry *)(list + at);
			pid = strtol(entry->name, &end, 10);
			if (pid > 0 && *end == '\0')
				fn(arg, (pid_t)pid);
		}
	}
}

uint64_t proc_start_time(pid_t pid)
{
	struct proc_stat stat;

	return proc_stat(pid, &stat) ? stat.start_time : 0;
}

bool proc_alive(pid_t pid, uint64_t start_time)
{
	struct proc_stat stat;

	return proc_stat(pid, &stat) && stat.start_time == start_time && stat.state != 'Z' &&
	       stat.state != 'X';
}

/* Number of kB after a key at a line's start. */
static int64_t kilobytes(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? (int64_t)strtoll(at + strlen(key), NULL, 10) : 0;
}

int64_t proc_memory_bytes(pid_t pid)
{
	char text[4096];
	int64_t kb = 0;

	if (pid > 0 && read_proc(pid, "smaps_rollup", text, sizeof(text)))
		kb = kilobytes(text, "\nPss:");
	if (kb == 0 && pid > 0 && read_proc(pid, "status", text, sizeof(text)))
		kb = kilobytes(text, "\nVmRSS:");
	return kb * 1024;
}

int64_t proc_own_bytes(pid_t pid)
{
	char text[4096];

	if (pid <= 0 || !read_proc(pid, "status", text, sizeof(text)))
		return 0;
	return (kilobytes(text, "\nRssAnon:") + kilobytes(text, "\nRssShmem:") +
		kilobytes(text, "\nVmSwap:")) *
	       1024;
}

int64_t proc_mapped_bytes(pid_t pid)
{
	char text[4096];

	if (pid <= 0 || !read_proc(pid, "status", text, sizeof(text)))
		return 0;
	return kilobytes(text, "\nRssFile:") * 1024;
}

/* clang-format off */
static const struct {
	int signal;
	const char *name, *meaning;
} signals[] = {
	{SIGABRT, "SIGABRT", "it gave up by itself; its last lines say why"},
	{SIGBUS,  "SIGBUS",  "bus error: a file shrank under it, or the disk or memory is full"},
	{SIGFPE,  "SIGFPE",  "arithmetic error"},
	{SIGHUP,  "SIGHUP",  "hung up"},
	{SIGILL,  "SIGILL",  "illegal instruction: built for another CPU?"},
	{SIGINT,  "SIGINT",  "interrupted"},
	{SIGKILL, "SIGKILL", "by force: out of memory?"},
	{SIGPIPE, "SIGPIPE", "nobody read its output"},
	{SIGSEGV, "SIGSEGV", "invalid memory access: a bug or a broken driver"},
	{SIGSYS,  "SIGSYS",  "a system call that is forbidden here"},
	{SIGTERM, "SIGTERM", "it was asked to end"},
	{SIGXCPU, "SIGXCPU", "CPU time limit"},
	{SIGXFSZ, "SIGXFSZ", "file size limit"},
};
/* clang-format on */

static void say_signal(int signal, char *buf, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		if (signals[i].signal == signal) {
			(void)snprintf(buf, size, "killed by %s (%s)", signals[i].name,
				       signals[i].meaning);
			return;
		}
	}
	(void)snprintf(buf, size, "killed by signal %d", signal);
}

const char *proc_status_text(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		say_signal(WTERMSIG(status), buf, size);
	else
		(void)snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
	return buf;
}
