/* SPDX-License-Identifier: Apache-2.0 */
#include "base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const void *data, size_t n, char *out) {
        const uint8_t *p = data;
        uint32_t acc = 0;
        unsigned bits = 0;
        size_t o = 0;

        for (size_t i = 0; i < n; i++) {
                acc = (acc << 8 | p[i]) & 0xffff;
                for (bits += 8; bits >= 6; bits -= 6)
                        out[o++] = alphabet[acc >> (bits - 6) & 0x3f];
        }
        if (bits > 0)
                out[o++] = alphabet[acc << (6 - bits) & 0x3f];
        out[o] = 0;
        return out;
}

static int value(char c) {
        switch (c) {
        case 'A' ... 'Z':
                return c - 'A';
        case 'a' ... 'z':
                return c - 'a' + 26;
        case '0' ... '9':
                return c - '0' + 52;
        case '-':
                return 62;
        case '_':
                return 63;
        default:
                return -EBADMSG;
        }
}

int base64url_decode(const char *s, size_t length, void *out, size_t max, size_t *ret_size) {
        uint32_t acc = 0;
        uint8_t *p = out;
        unsigned bits = 0;
        size_t n = 0;

        if (length % 4 == 1)
                return -EBADMSG;
        for (size_t i = 0; i < length; i++) {
                int v = value(s[i]);

                if (v < 0)
                        return v;
                acc = (acc << 6 | (uint32_t) v) & 0x3fff;
                bits += 6;
                if (bits < 8)
                        continue;
                bits -= 8;
                if (n == max)
                        return -EMSGSIZE;
                p[n++] = (uint8_t) (acc >> bits);
        }
        /* The bits that are left over must be zero, or two texts would mean the same bytes. */
        if ((acc & ((1U << bits) - 1)) != 0)
                return -EBADMSG;
        *ret_size = n;
        return 0;
}
