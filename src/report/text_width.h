/* text_width.h: how wide text is on a terminal, and text that cannot harm one. */
#ifndef MLD_REPORT_TEXT_WIDTH_H
#define MLD_REPORT_TEXT_WIDTH_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

/* Decodes one code point at s (NUL-terminated): its length in bytes, 1 or more before the
 * NUL. What is not valid UTF-8 gives U+FFFD and length 1. */
size_t mld_utf8_decode(const char *s, uint32_t *code_point);

/* Columns of a code point: 0 for combining marks, 2 for East Asian wide ones and emoji
 * (Unicode's East_Asian_Width W and F, in whole blocks), else 1. */
int mld_char_width(uint32_t code_point);

/* Columns of text as mld_text_add_clean writes it. */
size_t mld_text_width(const char *s);

/* Appends s as one line that moves no cursor: line ends and tabs as \n, \r, \t, other
 * control characters (C0, DEL, C1) and bidirectional overrides as \x1b or \u202e, invalid
 * UTF-8 as U+FFFD. */
void mld_text_add_clean(struct mld_str *out, const char *s);

#endif
