/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's log: one line "event key=value …" on stderr, with a syslog prefix (<6>) when stderr
 * goes to the journal ($JOURNAL_STREAM), else with the time. Any thread. The level is the one
 * global of the project.
 */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__) /* someone must act */
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)   /* we went on */
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)   /* state changed */
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
