/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a LUKS2 header that the host wrote. What is accepted must nowhere name another cipher. */
#include <stdlib.h>

#include "../luks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *reason = NULL;

        if (luks_check((const char *) data, size, &reason) < 0) {
                if (!reason)
                        abort();
                return 0;
        }
        if (!memmem(data, size, "aes-xts-plain64", 15))
                abort();
        return 0;
}
