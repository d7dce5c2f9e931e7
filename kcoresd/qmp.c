/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp.h"

#include <sys/socket.h>

#include "socket-util.h"

#define LINE_MAX_BYTES (256 * KIB)
#define PENDING_MAX 8

struct Qmp {
        int fd;
        sd_event_source *source;
        struct qmp_handlers handlers;
        void *userdata;

        bool greeted, ready;
        char *buf; /* an incomplete line */
        size_t n;

        qmp_reply_t pending[PENDING_MAX]; /* QMP answers in order */
        size_t n_pending;
};

Qmp *qmp_free(Qmp *q) {
        if (!q)
                return NULL;
        sd_event_source_disable_unref(q->source);
        q->fd = safe_close(q->fd);
        free(q->buf);
        free(q);
        return NULL;
}

bool qmp_is_ready(const Qmp *q) {
        return q && q->ready;
}

static void fail(Qmp *q) {
        q->source = sd_event_source_disable_unref(q->source);
        q->fd = safe_close(q->fd);
        q->ready = false;
        q->handlers.closed(q->userdata);
}

int qmp_command(Qmp *q, const char *command, const char *arguments, qmp_reply_t reply) {
        _cleanup_free_ char *line = NULL;
        int n;

        if (q->fd < 0)
                return -ENOTCONN;
        if (q->n_pending >= PENDING_MAX)
                return -ENOBUFS;
        n = asprintf(&line, "{\"execute\":\"%s\",\"arguments\":%s}\n", command, arguments ?: "{}");
        if (n < 0) {
                line = NULL;
                return -ENOMEM;
        }
        /* Commands are tiny: a socket that does not take one is broken. */
        if (send(q->fd, line, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
                return -EIO;
        q->pending[q->n_pending++] = reply;
        return 0;
}

static void on_capabilities(sd_json_variant *result, void *userdata _unused_) {
        (void) result;
}

/* One line of JSON. Returns < 0 if QEMU talks nonsense. */
static int process_line(Qmp *q, const char *line) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        sd_json_variant *name, *result;
        int r;

        r = sd_json_parse(line, 0, &v, NULL, NULL);
        if (r < 0)
                return r;
        if (!sd_json_variant_is_object(v))
                return -EBADMSG;

        if (sd_json_variant_by_key(v, "QMP")) {
                if (q->greeted)
                        return -EBADMSG;
                q->greeted = true;
                return qmp_command(q, "qmp_capabilities", NULL, on_capabilities);
        }

        name = sd_json_variant_by_key(v, "event");
        if (name) {
                if (!sd_json_variant_is_string(name))
                        return -EBADMSG;
                q->handlers.event(sd_json_variant_string(name), sd_json_variant_by_key(v, "data"), q->userdata);
                return 0;
        }

        result = sd_json_variant_by_key(v, "return");
        if (result || sd_json_variant_by_key(v, "error")) {
                qmp_reply_t reply;

                if (q->n_pending == 0)
                        return -EBADMSG;
                reply = q->pending[0];
                memmove(q->pending, q->pending + 1, --q->n_pending * sizeof(q->pending[0]));
                if (reply == on_capabilities) {
                        if (!result)
                                return -EPROTO;
                        q->ready = true;
                        q->handlers.ready(q->userdata);
                } else if (reply)
                        reply(result, q->userdata);
        }
        return 0;
}

/* Takes what is there. Returns the number of bytes; 0 if there is nothing, or no QEMU any more. */
static size_t receive(Qmp *q) {
        ssize_t k;

        if (q->fd < 0)
                return 0;
        if (q->n + 4096 > LINE_MAX_BYTES) {
                fail(q);
                return 0;
        }
        if (!q->buf) {
                q->buf = malloc(LINE_MAX_BYTES + 1);
                if (!q->buf) {
                        fail(q);
                        return 0;
                }
        }
        k = recv(q->fd, q->buf + q->n, LINE_MAX_BYTES - q->n, MSG_DONTWAIT);
        if (k < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (k <= 0) {
                fail(q);
                return 0;
        }
        q->n += (size_t) k;

        for (;;) {
                char *newline = memchr(q->buf, '\n', q->n);
                _cleanup_free_ char *line = NULL;
                size_t len;

                if (!newline)
                        return (size_t) k;
                len = (size_t) (newline - q->buf);
                line = strndup(q->buf, len);
                memmove(q->buf, newline + 1, q->n - len - 1);
                q->n -= len + 1;
                if (!line || process_line(q, line) < 0) {
                        fail(q);
                        return 0;
                }
        }
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        (void) s;
        (void) fd;
        (void) revents;
        (void) receive(userdata);
        return 0;
}

void qmp_drain(Qmp *q) {
        size_t k;

        /* At most what a socket buffer can hold: the other side is not trusted to stop. */
        for (size_t total = 0; q && total < 1 * MIB; total += k) {
                k = receive(q);
                if (k == 0)
                        return;
        }
}

int qmp_new(sd_event *event, const char *path, const struct qmp_handlers *handlers, void *userdata, Qmp **ret) {
        Qmp *q;
        int r;

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->handlers = *handlers;
        q->userdata = userdata;
        q->fd = socket_connect_unix(path);
        if (q->fd < 0) {
                r = q->fd;
                goto out;
        }
        r = sd_event_add_io(event, &q->source, q->fd, EPOLLIN, on_io, q);
        if (r < 0)
                goto out;
        *ret = q;
        return 0;
out:
        qmp_free(q);
        return r;
}

int qmp_press_power_key(Qmp *q) {
        return qmp_command(q, "send-key", "{\"keys\":[{\"type\":\"qcode\",\"data\":\"power\"}]}", NULL);
}

const char *qmp_shutdown_to_string(sd_json_variant *data, bool *ret_by_guest) {
        sd_json_variant *v = data ? sd_json_variant_by_key(data, "reason") : NULL;
        const char *why;

        if (!v || !sd_json_variant_is_string(v))
                return NULL;
        why = sd_json_variant_string(v);
        *ret_by_guest = strncmp(why, "guest-", strlen("guest-")) == 0;
        return streq(why, "guest-shutdown") ? "the guest powered off" :
                streq(why, "guest-reset")   ? "the guest asked for a restart" :
                streq(why, "guest-panic")   ? "the guest panicked" :
                                              "stopped";
}
