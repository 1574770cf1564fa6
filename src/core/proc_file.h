/* proc_file.h: small files of /proc and /sys, for the core folder itself. Nothing is
 * allocated, so that reading how much memory is used does not change it. */
#ifndef MLD_CORE_PROC_FILE_H
#define MLD_CORE_PROC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads root + path (a printf format) as text, cut at cap - 1 bytes; false and "" when it
 * cannot be read. root is "" for this machine, or a folder with a recorded tree. */
bool mld_proc_read(char *buf, size_t cap, const char *root, const char *path, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a file that holds one whole number; -1 when absent. */
int64_t mld_proc_read_int(const char *root, const char *path, ...)
    __attribute__((format(printf, 2, 3)));

/* Value of the first line "key<blanks>[:=]<blanks>value" of text, without quotes around
 * it and blanks after it; false and "" when there is none. */
bool mld_proc_field(const char *text, const char *key, char *out, size_t cap);
int64_t mld_proc_field_int(const char *text, const char *key); /* -1: none */

#endif
