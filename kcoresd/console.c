/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "socket-util.h"

struct client {
        Console *console;
        int fd;
        sd_event_source *source;
        bool readable; /* did not shut down its sending side */
};

struct Console {
        sd_event *event;
        int fd;
        sd_event_source *source;
        char *log_path;
        int log_fd;
        uint64_t log_size;

        struct client *clients[CONSOLE_CLIENTS_MAX];

        uint8_t input[4096]; /* typed, and not yet taken by QEMU */
        size_t n_input;
};

static void client_free(struct client *k) {
        Console *c = k->console;

        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
                if (c->clients[i] == k)
                        c->clients[i] = NULL;
        sd_event_source_disable_unref(k->source);
        safe_close(k->fd);
        free(k);
}

Console *console_free(Console *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
                if (c->clients[i])
                        client_free(c->clients[i]);
        sd_event_source_disable_unref(c->source);
        safe_close(c->fd);
        safe_close(c->log_fd);
        free(c->log_path);
        free(c);
        return NULL;
}

size_t console_clients(const Console *c) {
        size_t n = 0;

        for (size_t i = 0; c && i < CONSOLE_CLIENTS_MAX; i++)
                n += c->clients[i] != NULL;
        return n;
}

/* Keeps the newer half in a new file. */
static int log_trim(Console *c) {
        const size_t keep = CONSOLE_LOG_MAX / 2;
        _cleanup_free_ char *buf = NULL, *tmp = NULL;
        _cleanup_close_ int fd = -EBADF;
        ssize_t k;

        buf = malloc(keep);
        if (!buf || asprintf(&tmp, "%s.new", c->log_path) < 0)
                return -ENOMEM;
        k = pread(c->log_fd, buf, keep, (off_t) (c->log_size - keep));
        if (k < 0)
                return -errno;
        fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (write(fd, buf, (size_t) k) != k || rename(tmp, c->log_path) < 0) {
                (void) unlink(tmp);
                return -EIO;
        }
        safe_close(c->log_fd);
        c->log_fd = TAKE_FD(fd);
        c->log_size = (uint64_t) k;
        return 0;
}

/* The log is a convenience: where it can not be written, output is lost and the guest runs on. */
static void log_append(Console *c, const uint8_t *data, size_t n) {
        ssize_t k;

        if (c->log_fd < 0)
                return;
        if (c->log_size + n > CONSOLE_LOG_MAX && log_trim(c) < 0) {
                c->log_fd = safe_close(c->log_fd);
                return;
        }
        k = write(c->log_fd, data, n);
        if (k > 0)
                c->log_size += (uint64_t) k;
}

/* While QEMU does not take input, we do not read any from clients. */
static void update_events(Console *c) {
        if (c->source)
                (void) sd_event_source_set_io_events(c->source, EPOLLIN | (c->n_input > 0 ? EPOLLOUT : 0));
        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
                struct client *k = c->clients[i];

                if (k)
                        (void) sd_event_source_set_io_events(k->source, c->n_input > 0 || !k->readable ? 0 : EPOLLIN);
        }
}

static void flush_input(Console *c) {
        ssize_t k;

        if (c->n_input == 0)
                return;
        k = send(c->fd, c->input, c->n_input, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k > 0) {
                memmove(c->input, c->input + k, c->n_input - (size_t) k);
                c->n_input -= (size_t) k;
        } else if (k < 0 && errno != EAGAIN && errno != EINTR)
                c->n_input = 0; /* QEMU is gone; on_console() will see it */
        update_events(c);
}

static int on_client(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct client *k = userdata;
        Console *c = k->console;
        ssize_t n;

        (void) s;
        if (revents & (EPOLLHUP | EPOLLERR)) {
                client_free(k);
                return 0;
        }
        if (c->n_input > 0)
                return 0;
        n = recv(fd, c->input, sizeof(c->input), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0) {
                client_free(k);
                return 0;
        }
        if (n == 0) { /* end of its input; it may still want output */
                k->readable = false;
                update_events(c);
                return 0;
        }
        c->n_input = (size_t) n;
        flush_input(c);
        return 0;
}

static int on_console(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Console *c = userdata;
        uint8_t buf[4096];
        ssize_t n;

        (void) s;
        if (revents & EPOLLOUT)
                flush_input(c);
        if (!(revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return 0;
        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                /* QEMU is gone: tell the attached by closing. The log stays. */
                c->source = sd_event_source_disable_unref(c->source);
                c->fd = safe_close(c->fd);
                for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
                        if (c->clients[i])
                                client_free(c->clients[i]);
                return 0;
        }
        log_append(c, buf, (size_t) n);
        for (size_t i = 0; i < CONSOLE_CLIENTS_MAX; i++)
                /* A client that does not keep up loses output. */
                if (c->clients[i])
                        (void) send(c->clients[i]->fd, buf, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
        return 0;
}

int console_type(Console *c, const char *text) {
        size_t n = strlen(text);

        if (!c || c->fd < 0)
                return -ENOTCONN;
        return send(c->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) n ? 0 : -EIO;
}

void console_drain(Console *c) {
        uint8_t buf[4096];
        ssize_t n;

        if (!c || c->fd < 0)
                return;
        /* At most what a socket buffer can hold: the other side is not trusted to stop. */
        for (size_t total = 0; total < 1 * MIB; total += (size_t) n) {
                n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
                if (n <= 0)
                        return;
                log_append(c, buf, (size_t) n);
        }
}

static void send_past(const Console *c, int fd) {
        uint8_t past[CONSOLE_REPLAY];
        ssize_t n;

        if (c->log_fd < 0)
                return;
        n = pread(c->log_fd, past, sizeof(past), c->log_size > sizeof(past) ? (off_t) (c->log_size - sizeof(past)) : 0);
        if (n > 0)
                (void) send(fd, past, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int console_attach(Console *c) {
        _cleanup_close_ int theirs = -EBADF;
        struct client *k;
        int p[2], r;
        size_t slot;

        for (slot = 0; slot < CONSOLE_CLIENTS_MAX && c->clients[slot]; slot++)
                ;
        if (slot == CONSOLE_CLIENTS_MAX)
                return -EBUSY;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) < 0)
                return -errno;
        theirs = p[1];
        k = calloc(1, sizeof(*k));
        if (!k) {
                safe_close(p[0]);
                return -ENOMEM;
        }
        k->console = c;
        k->fd = p[0];
        k->readable = true;
        r = sd_event_add_io(c->event, &k->source, k->fd, EPOLLIN, on_client, k);
        if (r < 0) {
                client_free(k);
                return r;
        }

        send_past(c, k->fd);
        if (c->fd < 0) { /* QEMU has closed it and is about to end */
                client_free(k);
                return TAKE_FD(theirs);
        }
        c->clients[slot] = k;
        update_events(c);
        return TAKE_FD(theirs);
}

int console_new(sd_event *event, const char *socket_path, const char *log_path, Console **ret) {
        struct stat st;
        Console *c;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->event = event;
        c->log_fd = -EBADF;
        c->fd = socket_connect_unix(socket_path);
        if (c->fd < 0) {
                r = c->fd;
                goto fail;
        }
        c->log_path = strdup(log_path);
        if (!c->log_path) {
                r = -ENOMEM;
                goto fail;
        }
        c->log_fd = open(log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (c->log_fd >= 0 && fstat(c->log_fd, &st) >= 0)
                c->log_size = (uint64_t) st.st_size;
        r = sd_event_add_io(event, &c->source, c->fd, EPOLLIN, on_console, c);
        if (r < 0)
                goto fail;
        *ret = c;
        return 0;
fail:
        console_free(c);
        return r;
}
