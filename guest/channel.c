/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <dirent.h>
#include <poll.h>
#include <time.h>

int channel_find(const char *class_dir, const char *name, char **ret) {
        DIR *d = opendir(class_dir);
        int r = -ENODEV;

        if (!d)
                return -ENODEV;
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *path = NULL, *text = NULL;

                if (e->d_name[0] == '.')
                        continue;
                if (asprintf(&path, "%s/%s/name", class_dir, e->d_name) < 0) {
                        r = -ENOMEM;
                        break;
                }
                if (read_small_file(path, 4096, &text) < 0)
                        continue;
                text[strcspn(text, "\n")] = 0;
                if (streq(text, name)) {
                        r = asprintf(ret, "/dev/%s", e->d_name) < 0 ? -ENOMEM : 0;
                        break;
                }
        }
        closedir(d);
        return r;
}

static uint64_t now(void) {
        return now_usec(CLOCK_MONOTONIC);
}

/* All of it, or the host is too slow to care. */
static int write_all(int fd, const uint8_t *p, size_t n) {
        uint64_t end = now() + CHANNEL_FRAME_SECONDS * USEC_PER_SEC;

        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k >= 0) {
                        p += k;
                        n -= (size_t) k;
                        continue;
                }
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return -errno;
                if (now() >= end)
                        return -ETIMEDOUT;
                (void) poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, 100);
        }
        return 0;
}

static int send_frame(int fd, enum agent_frame_type type, uint32_t id, const void *payload, size_t n) {
        uint8_t frame[AGENT_HEADER_SIZE + AGENT_TOKEN_MAX];

        agent_header_write(frame, &(struct agent_frame) { .type = type, .length = (uint32_t) n, .id = id });
        memcpy(frame + AGENT_HEADER_SIZE, payload, n);
        return write_all(fd, frame, AGENT_HEADER_SIZE + n);
}

static int send_error(int fd, uint32_t id, const char *text) {
        return send_frame(fd, AGENT_ERROR, id, text, MIN(strlen(text), (size_t) AGENT_ERROR_MAX));
}

static int answer(int fd, uint32_t id, const uint8_t *nonce, channel_token_t token, void *userdata) {
        uint8_t challenge[SHA512_DIGEST_LENGTH], buf[AGENT_TOKEN_MAX];
        const char *reason = "internal error";
        size_t size;

        if (agent_challenge(nonce, challenge) < 0 || token(userdata, challenge, buf, sizeof(buf), &size, &reason) < 0)
                return send_error(fd, id, reason);
        return send_frame(fd, AGENT_TOKEN, id, buf, size);
}

/* Throws away what the host has sent so far. */
static void drain(int fd) {
        uint8_t buf[512];

        for (size_t i = 0; i < 1024 && read(fd, buf, sizeof(buf)) > 0; i++)
                ;
}

int channel_serve(int fd, channel_token_t token, void *userdata, const volatile bool *stop) {
        uint8_t in[AGENT_HEADER_SIZE + AGENT_NONCE_SIZE];
        uint64_t began = 0, last = 0;
        size_t n = 0;

        while (!*stop) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                struct agent_frame f;
                ssize_t k;
                int r;

                r = poll(&p, 1, 1000);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (n > 0 && now() - began > CHANNEL_FRAME_SECONDS * USEC_PER_SEC) {
                        n = 0;
                        (void) send_error(fd, 0, "the request did not come in time");
                }
                if (r <= 0)
                        continue;
                if (!(p.revents & POLLIN)) {
                        /* Nobody has the other end open. There is no event for when somebody does. */
                        n = 0;
                        (void) poll(NULL, 0, 200);
                        continue;
                }
                k = read(fd, in + n, (n < AGENT_HEADER_SIZE ? AGENT_HEADER_SIZE : sizeof(in)) - n);
                if (k < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0) {
                        n = 0;
                        (void) poll(NULL, 0, 200);
                        continue;
                }
                if (n == 0)
                        began = now();
                n += (size_t) k;
                if (n < AGENT_HEADER_SIZE)
                        continue;
                if (agent_header_read(in, &f) < 0 || f.type != AGENT_REQUEST) {
                        n = 0;
                        drain(fd);
                        (void) send_error(fd, 0, "this is no request");
                        continue;
                }
                if (n < sizeof(in))
                        continue;
                n = 0;
                if (last != 0 && now() - last < CHANNEL_INTERVAL_MSEC * USEC_PER_MSEC)
                        (void) poll(NULL, 0, CHANNEL_INTERVAL_MSEC);
                last = now();
                (void) answer(fd, f.id, in + AGENT_HEADER_SIZE, token, userdata);
        }
        return 0;
}
