/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of frames between host and agent. */
#include <stdlib.h>

#include "../agent-frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t again[AGENT_HEADER_SIZE];
        struct agent_frame f;

        if (size < AGENT_HEADER_SIZE || agent_header_read(data, &f) < 0)
                return 0;
        agent_header_write(again, &f);
        if (memcmp(again, data, sizeof(again)) != 0 || f.length == 0 || f.length > AGENT_TOKEN_MAX)
                abort();
        return 0;
}
