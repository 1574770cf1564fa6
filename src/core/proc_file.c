/* proc_file.c: reading and searching the small text files by which Linux tells of
 * itself. */
#include "core/proc_file.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool proc_read_file(char *buf, size_t cap, const char *path)
{
    buf[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    ssize_t got = 0;
    while (n + 1 < cap && (got = read(fd, buf + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    buf[n] = '\0';
    (void)close(fd);
    return n > 0;
}

/* false when root and path together are too long. */
__attribute__((format(printf, 4, 0))) static bool
proc_path(char *out, size_t cap, const char *root, const char *path, va_list args)
{
    int head = snprintf(out, cap, "%s", root);
    if (head < 0 || (size_t)head >= cap)
        return false;
    int tail = vsnprintf(out + head, cap - (size_t)head, path, args);
    return tail >= 0 && (size_t)tail < cap - (size_t)head;
}

bool mld_proc_read(char *buf, size_t cap, const char *root, const char *path, ...)
{
    char full[4096];
    va_list args;
    va_start(args, path);
    bool fits = proc_path(full, sizeof(full), root, path, args);
    va_end(args);
    buf[0] = '\0';
    return fits && proc_read_file(buf, cap, full);
}

static int64_t proc_int(const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    return end == text || v < 0 ? -1 : (int64_t)v;
}

int64_t mld_proc_read_int(const char *root, const char *path, ...)
{
    char full[4096], text[64];
    va_list args;
    va_start(args, path);
    bool fits = proc_path(full, sizeof(full), root, path, args);
    va_end(args);
    return fits && proc_read_file(text, sizeof(text), full) ? proc_int(text) : -1;
}

bool mld_proc_field(const char *text, const char *key, char *out, size_t cap)
{
    const size_t n = strlen(key);
    out[0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) != 0)
            continue;
        const char *p = line + n + strspn(line + n, " \t");
        if (*p == ':' || *p == '=')
            p++;
        else if (p == line + n) /* a longer key */
            continue;
        p += strspn(p, " \t\"");
        size_t len = strcspn(p, "\n");
        while (len > 0 && (isspace((unsigned char)p[len - 1]) || p[len - 1] == '"'))
            len--;
        len = len < cap - 1 ? len : cap - 1;
        memcpy(out, p, len);
        out[len] = '\0';
        return len > 0;
    }
    return false;
}

int64_t mld_proc_field_int(const char *text, const char *key)
{
    char value[64];
    return mld_proc_field(text, key, value, sizeof(value)) ? proc_int(value) : -1;
}
