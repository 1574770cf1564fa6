/* human.c: numbers in the unit and with the digits that a person reads. */
#include "report/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct human_unit {
    double size;
    const char *name;
};

/* The largest unit of which x is at least one, with four significant digits. Rounding up
 * to 1000 of a unit moves on to the next: 999.96 kB is 1.000 MB. */
static const char *human_scaled(double x, const struct human_unit *units, size_t count,
                                char *buf, size_t n)
{
    size_t i = 0;
    double size = fabs(x);
    while (i + 1 < count && size >= units[i + 1].size)
        i++;
    if (i + 1 < count &&
        size / units[i].size >= units[i + 1].size / units[i].size * (1 - 0.5e-4))
        i++;
    double y = x / units[i].size;
    int digits = fabs(y) < 9.9995 ? 3 : fabs(y) < 99.995 ? 2 : fabs(y) < 999.95 ? 1 : 0;
    snprintf(buf, n, "%.*f%s%s", digits, y, units[i].name[0] != '\0' ? " " : "",
             units[i].name);
    return buf;
}

const char *mld_human_bytes(int64_t bytes, char *buf, size_t n)
{
    static const struct human_unit units[] = {{1, "B"},    {1e3, "kB"},  {1e6, "MB"},
                                              {1e9, "GB"}, {1e12, "TB"}, {1e15, "PB"}};
    if (bytes < 0)
        snprintf(buf, n, "-");
    else if (bytes < 1000)
        snprintf(buf, n, "%" PRId64 " B", bytes);
    else
        human_scaled((double)bytes, units, sizeof units / sizeof units[0], buf, n);
    return buf;
}

const char *mld_human_ns(double ns, char *buf, size_t n)
{
    static const struct human_unit units[] = {
        {1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}};
    if (!isfinite(ns)) {
        snprintf(buf, n, "-");
        return buf;
    }
    return human_scaled(ns, units, sizeof units / sizeof units[0], buf, n);
}

const char *mld_human_count(double x, char *buf, size_t n)
{
    static const struct human_unit units[] = {{1, ""},    {1e3, "k"},  {1e6, "M"},
                                              {1e9, "G"}, {1e12, "T"}, {1e15, "P"}};
    if (!isfinite(x))
        snprintf(buf, n, "-");
    else if (fabs(x) < 1000 && x == floor(x))
        snprintf(buf, n, "%.0f", x);
    else
        human_scaled(x, units, sizeof units / sizeof units[0], buf, n);
    return buf;
}

const char *mld_human_num(double x, char *buf, size_t n)
{
    double size = fabs(x);
    if (!isfinite(x)) {
        snprintf(buf, n, "-");
    } else if (x == floor(x) && size < 1e15) {
        snprintf(buf, n, "%.0f", x);
    } else if (size >= 1e-4 && size < 1e15) {
        /* Six significant digits, no exponent, no zeros at the end. */
        int whole = size >= 1 ? (int)floor(log10(size)) + 1 : 0;
        int digits = whole >= 6 ? 0 : 6 - whole;
        int len = snprintf(buf, n, "%.*f", digits, x);
        while (digits > 0 && len > 0 && (size_t)len < n && buf[len - 1] == '0')
            buf[--len] = '\0';
        if (len > 0 && (size_t)len < n && buf[len - 1] == '.')
            buf[len - 1] = '\0';
    } else {
        snprintf(buf, n, "%.6g", x);
    }
    return buf;
}
