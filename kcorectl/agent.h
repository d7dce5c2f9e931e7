/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-varlink.h>

#include "../guest/agent-frame.h"

/* Asks the agent in a running guest for a token that answers nonce: docs/attest-agent.md. What comes back was
 * carried by the host and is not looked at here. Returns 0 with *ret_size bytes in token, or an exit code after
 * telling why there is none. */
int agent_get_token(
                sd_varlink *link,
                const char *guest,
                const uint8_t nonce[static AGENT_NONCE_SIZE],
                uint8_t token[static AGENT_TOKEN_MAX],
                size_t *ret_size);
