/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The virtio-serial port on which a guest's agent answers the host: see docs/attest-agent.md. */
#define KCORE_AGENT_PORT "org.kcore.attest.0"
