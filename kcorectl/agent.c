/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "../libkcore/io.kcore.Manager.h"
#include "kcorectl.h"

/* A guest that boots, or whose agent serves somebody else, may take a while. */
#define ANSWER_USEC (60 * USEC_PER_SEC)

static int open_port(sd_varlink *link, const char *guest, int *ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        int r;

        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", guest));
        if (r < 0)
                return report_error(EXIT_USAGE, "Usage", NULL, "the name can not be sent: %s", strerror(-r));
        r = client_call(link, METHOD_AGENT_PORT, parameters, &reply);
        if (r != 0)
                return r;
        r = sd_varlink_take_fd(link, (int) field_unsigned(reply, "agentFileDescriptor"));
        if (r < 0)
                return report_error(EXIT_FAILED, "Error", NULL, "kcoresd passed no descriptor: %s", strerror(-r));
        *ret = r;
        return 0;
}

/* Exactly n bytes until the time end. */
static int read_all(int fd, uint8_t *p, size_t n, uint64_t end) {
        while (n > 0) {
                uint64_t t = now_usec(CLOCK_MONOTONIC);
                struct pollfd pfd = { .fd = fd, .events = POLLIN };
                ssize_t k;

                if (t >= end)
                        return -ETIMEDOUT;
                if (poll(&pfd, 1, (int) ((end - t) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
                        return -errno;
                k = recv(fd, p, n, MSG_DONTWAIT);
                if (k == 0)
                        return -ECONNRESET;
                if (k < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        p += k;
                        n -= (size_t) k;
                }
        }
        return 0;
}

/* The answer with this id; those of older conversations are dropped. */
static int read_answer(int fd, uint32_t id, struct agent_frame *ret, uint8_t payload[static AGENT_TOKEN_MAX], uint64_t end) {
        for (;;) {
                uint8_t header[AGENT_HEADER_SIZE];
                int r;

                r = read_all(fd, header, sizeof(header), end);
                r = r < 0 ? r : agent_header_read(header, ret);
                if (r >= 0 && ret->type == AGENT_REQUEST)
                        r = -EBADMSG;
                r = r < 0 ? r : read_all(fd, payload, ret->length, end);
                if (r < 0)
                        return r;
                if (ret->id == id)
                        return 0;
        }
}

int agent_get_token(
                sd_varlink *link,
                const char *guest,
                const uint8_t nonce[static AGENT_NONCE_SIZE],
                uint8_t token[static AGENT_TOKEN_MAX],
                size_t *ret_size) {

        uint8_t request[AGENT_HEADER_SIZE + AGENT_NONCE_SIZE];
        struct agent_frame f = { .type = AGENT_REQUEST, .length = AGENT_NONCE_SIZE };
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_port(link, guest, &fd);
        if (r != 0)
                return r;
        if (getrandom(&f.id, sizeof(f.id), 0) != sizeof(f.id))
                return report_error(EXIT_FAILED, "Error", NULL, "there are no random numbers: %s", strerror(errno));
        f.id |= 1; /* 0 is the agent's, for what is no request */
        agent_header_write(request, &f);
        memcpy(request + AGENT_HEADER_SIZE, nonce, AGENT_NONCE_SIZE);
        if (send(fd, request, sizeof(request), MSG_NOSIGNAL) != (ssize_t) sizeof(request))
                return report_error(EXIT_FAILED, "Agent", NULL, "the guest's port does not take the request");

        r = read_answer(fd, f.id, &f, token, now_usec(CLOCK_MONOTONIC) + ANSWER_USEC);
        if (r == -ETIMEDOUT)
                return report_error(
                                EXIT_FAILED, "NoAgent", "Does kcore-agent run in the guest? Has the guest booted?",
                                "the agent of the guest \"%s\" does not answer", guest);
        if (r == -EBADMSG)
                return report_error(EXIT_FAILED, "Agent", NULL, "the agent of the guest \"%s\" answers nonsense", guest);
        if (r < 0)
                return report_error(EXIT_FAILED, "Agent", NULL, "the guest \"%s\" went away: %s", guest, strerror(-r));
        if (f.type == AGENT_ERROR) {
                char why[AGENT_ERROR_MAX + 1] = {};

                for (uint32_t i = 0; i < f.length; i++)
                        why[i] = token[i] >= ' ' && token[i] <= '~' ? (char) token[i] : '?';
                return report_error(EXIT_FAILED, "Agent", NULL, "the guest gives no token: %s", why);
        }
        *ret_size = f.length;
        return 0;
}
