/* SPDX-License-Identifier: Apache-2.0 */
/* The strict JSON reader: what it takes must keep its promises. */
#include <stdlib.h>

#include "../json-strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t depth(sd_json_variant *v) {
        size_t max = 0;

        if (!sd_json_variant_is_object(v) && !sd_json_variant_is_array(v))
                return 0;
        for (size_t i = 0; i < sd_json_variant_elements(v); i++) {
                size_t d = depth(sd_json_variant_by_index(v, i));

                max = MAX(max, d);
        }
        return 1 + max;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ sd_json_variant *v = NULL;
        const char *reason = NULL;

        if (json_parse_strict((const char *) data, size, 4096, &v, &reason) < 0) {
                if (!reason || v)
                        abort();
                return 0;
        }
        if (size > 4096 || depth(v) > JSON_DEPTH_MAX)
                abort();
        return 0;
}
