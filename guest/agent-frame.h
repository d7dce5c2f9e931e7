/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What host and guest say to each other on the virtio-serial port KCORE_AGENT_PORT: see docs/attest-agent.md.
 * Each side distrusts the other.
 *
 * A frame is a header of 16 bytes and a payload:
 *
 *   0   magic "KAG1"
 *   4   type, enum agent_frame_type
 *   5   three zero bytes
 *   8   length of the payload in bytes, little endian
 *   12  id: the host chooses it, the answer repeats it */

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "../libkcore/agent-port.h"
#include "../libkcore/util.h"

#define AGENT_HEADER_SIZE 16
#define AGENT_NONCE_SIZE 64
#define AGENT_TOKEN_MAX 8192
#define AGENT_ERROR_MAX 256

enum agent_frame_type {
        AGENT_REQUEST = 1, /* host to guest: a nonce of AGENT_NONCE_SIZE bytes */
        AGENT_TOKEN = 2,   /* guest to host: the token, 1 to AGENT_TOKEN_MAX bytes */
        AGENT_ERROR = 3,   /* guest to host: why there is none, 1 to AGENT_ERROR_MAX bytes of printable ASCII */
};

struct agent_frame {
        enum agent_frame_type type;
        uint32_t length, id;
};

static inline void agent_header_write(uint8_t out[static AGENT_HEADER_SIZE], const struct agent_frame *f) {
        const uint8_t h[AGENT_HEADER_SIZE] = {
                'K', 'A', 'G', '1', (uint8_t) f->type, 0, 0, 0,
                (uint8_t) f->length, (uint8_t) (f->length >> 8), (uint8_t) (f->length >> 16), (uint8_t) (f->length >> 24),
                (uint8_t) f->id, (uint8_t) (f->id >> 8), (uint8_t) (f->id >> 16), (uint8_t) (f->id >> 24),
        };

        memcpy(out, h, sizeof(h));
}

/* -EBADMSG unless it is a header of a known type whose length suits the type. */
static inline int agent_header_read(const uint8_t in[static AGENT_HEADER_SIZE], struct agent_frame *ret) {
        struct agent_frame f = {
                .type = in[4],
                .length = (uint32_t) in[8] | (uint32_t) in[9] << 8 | (uint32_t) in[10] << 16 | (uint32_t) in[11] << 24,
                .id = (uint32_t) in[12] | (uint32_t) in[13] << 8 | (uint32_t) in[14] << 16 | (uint32_t) in[15] << 24,
        };

        if (memcmp(in, "KAG1", 4) != 0 || in[5] || in[6] || in[7])
                return -EBADMSG;
        if (!(f.type == AGENT_REQUEST && f.length == AGENT_NONCE_SIZE) &&
            !(f.type == AGENT_TOKEN && f.length >= 1 && f.length <= AGENT_TOKEN_MAX) &&
            !(f.type == AGENT_ERROR && f.length >= 1 && f.length <= AGENT_ERROR_MAX))
                return -EBADMSG;
        *ret = f;
        return 0;
}

/* The challenge claim of the token that answers nonce: SHA-512 of a label and the nonce. Were it the nonce
 * itself, the host could have any challenge signed, among them the one with which a key broker is asked for
 * this guest's disk key. */
static inline int agent_challenge(const uint8_t nonce[static AGENT_NONCE_SIZE], uint8_t ret[static SHA512_DIGEST_LENGTH]) {
        static const char label[] = "KCore guest agent 1";
        uint8_t data[sizeof(label) - 1 + AGENT_NONCE_SIZE];

        memcpy(data, label, sizeof(label) - 1);
        memcpy(data + sizeof(label) - 1, nonce, AGENT_NONCE_SIZE);
        return EVP_Digest(data, sizeof(data), ret, NULL, EVP_sha512(), NULL) == 1 ? 0 : -EIO;
}
