/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: a header, without the 16 bytes before it. What is accepted must have one encoding only, and every
 * offset in it must be inside the file that it speaks of. */
#include "../kci.h"

#include <endian.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t in[KCI_HEADER_MAX], out[KCI_HEADER_MAX];
        uint32_t version = htole32(KCI_VERSION), length = htole32((uint32_t) size);
        struct kci_error e = {};
        struct kci_image i;
        size_t n;
        int r;

        if (size > sizeof(in) - KCI_PREFIX_SIZE)
                return 0;
        memcpy(in, KCI_MAGIC, 8);
        memcpy(in + 8, &version, 4);
        memcpy(in + 12, &length, 4);
        if (size > 0)
                memcpy(in + KCI_PREFIX_SIZE, data, size);
        n = KCI_PREFIX_SIZE + size;

        r = kci_header_parse(in, n, UINT64_MAX, &i, &e);
        if (r < 0) {
                check(r == -EBADMSG && e.code != KCI_ERROR_NONE && kci_code_to_string(e.code) && *e.message);
                return 0;
        }
        check(i.data % KCI_PAGE == 0 && i.data >= n && i.data < n + KCI_PAGE && i.size % KCI_PAGE == 0);
        for (size_t k = 0; k < i.n_segments; k++) {
                const struct kci_segment *s = &i.segments[k];

                check(s->offset >= i.data && s->pages * KCI_PAGE >= s->length && s->offset + s->pages * KCI_PAGE <= i.size);
                check(!kci_is_sealed(&i) || s->tags == s->offset + s->pages * KCI_PAGE);
        }
        check(kci_header_encode(&i, out, &size, &e) == 0 && size == n && memcmp(in, out, n) == 0);
        (void) kci_check_signature(&i, &e);
        return 0;
}
