/* json_scan.h: checks a text against the JSON grammar (RFC 8259); for json.c only. */
#ifndef MLD_BASE_JSON_SCAN_H
#define MLD_BASE_JSON_SCAN_H

#include "mldyno/error.h"

#include <stddef.h>

#define MLD_JSON_DEPTH_MAX 128 /* arrays and objects within each other */

/* MLD_OK when the n bytes are one JSON value and blanks; else MLD_E_PARSE (TOO_LARGE for
 * the depth) with "what: line 3, column 7: expected ...". Needs no memory. */
int mld_json_scan(const char *text, size_t n, const char *what,
                  struct mld_error *err) MLD_MUST_CHECK;

#endif
