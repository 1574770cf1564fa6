/* json_scan.h: checks a text against the JSON grammar (RFC 8259); for json.c only. */
#ifndef MLD_BASE_JSON_SCAN_H
#define MLD_BASE_JSON_SCAN_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>

#define MLD_JSON_DEPTH_MAX 128 /* arrays and objects within each other */

/* MLD_OK when the n bytes are one JSON value and blanks; else MLD_E_PARSE (TOO_LARGE for
 * the depth) with "what: line 3, column 7: expected ...". *long_integers tells whether
 * there are whole numbers that a double may not hold. Needs no memory. */
int mld_json_scan(const char *text, size_t n, const char *what, bool *long_integers,
                  struct mld_error *err) MLD_MUST_CHECK;

/* The next number at *p or behind it, in a text that passed the check: its start and
 * length; *p moves behind it. NULL: there is none up to `end`. */
const char *mld_json_scan_number(const char **p, const char *end, size_t *len);

#endif
