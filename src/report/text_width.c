/* text_width.c: width of UTF-8 text in terminal columns, and its cleaning.
 *
 * The C library's wcwidth depends on the locale; this does not. */
#include "report/text_width.h"

#include <stdbool.h>
#include <stdio.h>

size_t mld_utf8_decode(const char *s, uint32_t *code_point)
{
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    /* The NUL ends a character that is cut off, so that four bytes may be promised. */
    const size_t n = mld_utf8_length(s, s + 4);
    uint32_t c = (unsigned char)s[0] & lead_bits[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s[i] & 0x3F);
    *code_point = n > 0 ? c : 0xFFFD;
    return n > 0 ? n : 1;
}

struct char_range {
    uint32_t first, last;
};

/* Marks that take no column: the blocks of combining marks, variation selectors, zero
 * width characters (Unicode 15, general categories Mn, Me, Cf in common use). */
static const struct char_range zero_ranges[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489},   {0x0591, 0x05BD}, {0x0610, 0x061A},
    {0x064B, 0x065F}, {0x06D6, 0x06DC},   {0x093A, 0x093A}, {0x093C, 0x093C},
    {0x0941, 0x0948}, {0x094D, 0x094D},   {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},
    {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF},   {0x1DC0, 0x1DFF}, {0x200B, 0x200D},
    {0x2060, 0x2064}, {0x20D0, 0x20F0},   {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
    {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
};
static const struct char_range wide_ranges[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2614, 0x2615},
    {0x26A1, 0x26A1},   {0x2705, 0x2705},   {0x274C, 0x274C},   {0x2E80, 0x303E},
    {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},
    {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x17000, 0x18CD5}, {0x1B000, 0x1B2FF},
    {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF},
    {0x20000, 0x2FFFD}, {0x30000, 0x3FFFD},
};

static bool char_in(uint32_t c, const struct char_range *ranges, size_t n)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c > ranges[mid].last)
            low = mid + 1;
        else if (c < ranges[mid].first)
            high = mid;
        else
            return true;
    }
    return false;
}

int mld_char_width(uint32_t c)
{
    if (c < 0x300)
        return 1;
    if (char_in(c, zero_ranges, sizeof zero_ranges / sizeof zero_ranges[0]))
        return 0;
    return char_in(c, wide_ranges, sizeof wide_ranges / sizeof wide_ranges[0]) ? 2 : 1;
}

/* How a code point that must not be written as it is, is written; false: as it is. */
static bool char_escape(uint32_t c, char buf[12])
{
    const char *named = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
    if (named != NULL)
        snprintf(buf, 12, "%s", named);
    else if (c < 0x20 || (c >= 0x7F && c <= 0x9F))
        snprintf(buf, 12, "\\x%02x", (unsigned)c);
    else if (c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
             (c >= 0x2066 && c <= 0x2069))
        snprintf(buf, 12, "\\u%04x", (unsigned)c);
    else
        return false;
    return true;
}

/* Appends the clean form to out (may be NULL); returns its width. */
static size_t text_clean(struct mld_str *out, const char *s)
{
    size_t width = 0;
    while (*s != '\0') {
        uint32_t c;
        char buf[12];
        size_t n = mld_utf8_decode(s, &c);
        if (char_escape(c, buf)) {
            for (const char *p = buf; *p != '\0'; p++)
                width++;
            if (out != NULL)
                mld_str_add(out, buf);
        } else {
            width += (size_t)mld_char_width(c);
            if (out != NULL && c == 0xFFFD)
                mld_str_add(out, "\xEF\xBF\xBD");
            else if (out != NULL)
                mld_str_append(out, s, n);
        }
        s += n;
    }
    return width;
}

size_t mld_text_width(const char *s)
{
    return text_clean(NULL, s);
}

void mld_text_add_clean(struct mld_str *out, const char *s)
{
    text_clean(out, s);
}
