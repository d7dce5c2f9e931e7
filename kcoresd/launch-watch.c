/* SPDX-License-Identifier: Apache-2.0 */
#include "launch-watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

struct answer {
        int error;
        struct kcore_launch_status status;
};

struct LaunchWatch {
        sd_event *event;
        const struct manager_ops *ops;
        int fd;

        int pipe; /* the answer comes here; -EBADF: nothing was asked */
        sd_event_source *source;
        bool answered;
        struct answer last;
};

/* What the thread owns. It outlives the watch if the kernel takes long. */
struct question {
        const struct manager_ops *ops;
        int fd, pipe;
};

static void *ask(void *p) {
        struct question *q = p;
        struct answer a = {};

        a.error = q->ops->launch_status(q->fd, &a.status);
        (void) !write(q->pipe, &a, sizeof(a)); /* one atomic write, or nobody listens any more */
        safe_close(q->fd);
        safe_close(q->pipe);
        free(q);
        return NULL;
}

static void take_answer(LaunchWatch *w) {
        struct answer a;

        if (read(w->pipe, &a, sizeof(a)) == sizeof(a)) {
                w->last = a;
                w->answered = true;
        }
        w->source = sd_event_source_disable_unref(w->source);
        w->pipe = safe_close(w->pipe);
}

static int on_answer(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        (void) s;
        (void) fd;
        (void) revents;
        take_answer(userdata);
        return 0;
}

static int start(LaunchWatch *w) {
        _cleanup_close_ int rfd = -EBADF, wfd = -EBADF, fd = -EBADF;
        struct question *q;
        pthread_attr_t attr;
        pthread_t thread;
        int p[2], r;

        if (w->pipe >= 0)
                return 0;
        if (pipe2(p, O_CLOEXEC) < 0)
                return -errno;
        rfd = p[0];
        wfd = p[1];
        fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        r = sd_event_add_io(w->event, &w->source, rfd, EPOLLIN, on_answer, w);
        if (r < 0)
                return r;

        q = malloc(sizeof(*q));
        if (!q) {
                w->source = sd_event_source_disable_unref(w->source);
                return -ENOMEM;
        }
        *q = (struct question) { .ops = w->ops, .fd = fd, .pipe = wfd };
        (void) pthread_attr_init(&attr);
        (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        r = pthread_create(&thread, &attr, ask, q);
        (void) pthread_attr_destroy(&attr);
        if (r != 0) {
                free(q);
                w->source = sd_event_source_disable_unref(w->source);
                return -r;
        }
        w->pipe = TAKE_FD(rfd);
        (void) TAKE_FD(wfd);
        (void) TAKE_FD(fd);
        return 0;
}

/* Takes the answer if it comes by then. */
static bool await(LaunchWatch *w, uint64_t deadline) {
        struct pollfd pfd = { .fd = w->pipe, .events = POLLIN };
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (poll(&pfd, 1, deadline > now ? (int) ((deadline - now + 999) / 1000) : 0) <= 0)
                return false;
        take_answer(w);
        return true;
}

int launch_watch_get(LaunchWatch *w, uint64_t wait_usec, struct kcore_launch_status *ret) {
        uint64_t deadline = now_usec(CLOCK_MONOTONIC) + wait_usec;
        bool asked = w->pipe >= 0;
        int r;

        r = start(w);
        if (r < 0)
                return r;
        if (wait_usec > 0 && await(w, deadline) && asked) {
                r = start(w);
                if (r < 0)
                        return r;
                (void) await(w, deadline);
        }
        if (!w->answered)
                return 0;
        if (w->last.error < 0)
                return w->last.error;
        *ret = w->last.status;
        return 1;
}

int launch_watch_new(sd_event *event, const struct manager_ops *ops, int fd, LaunchWatch **ret) {
        LaunchWatch *w;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->event = event;
        w->ops = ops;
        w->fd = fd;
        w->pipe = -EBADF;
        *ret = w;
        return 0;
}

LaunchWatch *launch_watch_free(LaunchWatch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->source);
        safe_close(w->pipe);
        free(w);
        return NULL;
}
