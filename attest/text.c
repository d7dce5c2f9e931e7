/* SPDX-License-Identifier: Apache-2.0 */
/* Texts are shown on terminals and in logs: UTF-8 (RFC 3629) without control characters, nothing else. */
#include "text.h"

#include <string.h>

/* The length of the character at p, 0 if it is none. */
static size_t character(const uint8_t *p, size_t size) {
        static const struct {
                uint8_t mask, lead;
                uint32_t least; /* shorter forms are refused */
        } forms[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

        for (size_t n = 1; n <= 4 && n <= size; n++) {
                uint32_t c = p[0] & (uint8_t) ~forms[n - 1].mask;

                if ((p[0] & forms[n - 1].mask) != forms[n - 1].lead)
                        continue;
                for (size_t i = 1; i < n; i++) {
                        if ((p[i] & 0xc0) != 0x80)
                                return 0;
                        c = c << 6 | (p[i] & 0x3f);
                }
                if (c < forms[n - 1].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                        return 0;
                /* C0, DEL, C1; marks that turn the direction of what is around them. */
                if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
                        return 0;
                return n;
        }
        return 0;
}

enum kcore_attest_error text_copy(const struct item *item, char ret[KCORE_TEXT_MAX + 1]) {
        if (item->kind != ITEM_TEXT)
                return KCORE_ATTEST_WRONG_TYPE;
        if (item->size > KCORE_TEXT_MAX)
                return KCORE_ATTEST_WRONG_SIZE;
        for (size_t i = 0, n; i < item->size; i += n) {
                n = character(item->data + i, item->size - i);
                if (n == 0)
                        return KCORE_ATTEST_BAD_TEXT;
        }
        memcpy(ret, item->data, item->size);
        ret[item->size] = 0;
        return KCORE_ATTEST_OK;
}
