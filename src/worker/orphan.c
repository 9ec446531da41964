/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/worker_priv.h"

#define GONE_MS 3000

char *orphan_pid_file(const char *folder)
{
	return mem_printf("%s.pid", folder);
}

/* Not fsynced: after a loss of power there are no orphans. */
bool orphan_note(const char *pid_file, const struct proc *p, struct err *e)
{
	CLEANUP(free)
	char *text = mem_printf("%d %llu\n", p->pid, (unsigned long long)p->start_time);
	CLEANUP(close) int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return err_sys(e, errno, "write '%s'", pid_file);
	return true;
}

static bool read_note(const char *pid_file, struct proc *ret)
{
	CLEANUP(free) char *text = NULL;
	struct err ignored = {0};
	char *end = NULL;
	long pid;

	if (!fs_read(pid_file, 64, &text, NULL, &ignored))
		return false;
	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != ' ' || pid < 2 || pid > 1 << 22)
		return false;
	ret->pid = (pid_t)pid;
	ret->start_time = strtoull(end + 1, NULL, 10);
	return errno == 0 && ret->start_time > 0;
}

/* Its working folder is the one beside the pid file. Start times repeat after a reboot; this
 * doesn't. */
static bool sits_in(pid_t pid, const char *folder)
{
	CLEANUP(free) char *link = mem_printf("/proc/%d/cwd", pid);
	CLEANUP(free) char *real = fs_real(folder);
	char cwd[4096];
	ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);

	if (n < 0 || !real)
		return false;
	cwd[n] = '\0';
	return strcmp(cwd, real) == 0;
}

static void kill_one(const struct proc *p)
{
	CLEANUP(close) int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	struct pollfd gone = {.fd = pidfd, .events = POLLIN};

	log_warn("orphan worker killed pid=%d, continuing", p->pid);
	proc_signal(p, SIGKILL);
	if (pidfd >= 0 && poll(&gone, 1, GONE_MS) == 0)
		log_warn("orphan worker does not end pid=%d, continuing", p->pid);
}

/* Ours only: run_dir may hold other things. */
static bool look_at(void *arg, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(arg, name);
	struct proc p = {.pidfd = -1};
	size_t len = strlen(path);

	if (strncmp(name, "w-", 2) != 0 || strcmp(path + len - 4, ".pid") != 0)
		return true;
	CLEANUP(free) char *folder = mem_ndup(path, len - 4);
	if (read_note(path, &p) && proc_alive(p.pid, p.start_time) && sits_in(p.pid, folder))
		kill_one(&p);
	return fs_remove_tree(path, e);
}

static bool remove_folder(void *arg, const char *name, struct err *e)
{
	CLEANUP(free) char *path = fs_join(arg, name);

	return strncmp(name, "w-", 2) != 0 || fs_remove_tree(path, e);
}

bool orphans_kill(const char *run_dir, struct err *e)
{
	CLEANUP(free) char *dir = mem_dup(run_dir);

	return fs_each(dir, look_at, dir, e) && fs_each(dir, remove_folder, dir, e);
}
