/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

struct connection {
        int fd;         /* -1: free */
        uint64_t start; /* usec, monotonic */
};

struct server {
        struct MHD_Daemon *daemon;
        struct broker *broker;
        pthread_mutex_t lock; /* of connections */
        struct connection connections[SERVER_CONNECTIONS_MAX];
};

/* What a request has sent so far. */
struct upload {
        char body[KBS_BODY_MAX];
        size_t size;
        bool too_long;
};

static uint64_t now_monotonic(void) {
        return now_usec(CLOCK_MONOTONIC);
}

static void peer_address(struct MHD_Connection *c, char *buf, size_t size) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const struct sockaddr *sa = info ? info->client_addr : NULL;

        snprintf(buf, size, "unknown");
        if (sa && sa->sa_family == AF_INET)
                inet_ntop(AF_INET, &((const struct sockaddr_in *) sa)->sin_addr, buf, (socklen_t) size);
        else if (sa && sa->sa_family == AF_INET6)
                inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) sa)->sin6_addr, buf, (socklen_t) size);
}

static enum MHD_Result respond(struct MHD_Connection *c, struct broker_response *rs) {
        static const char none[] = "{}";
        struct MHD_Response *m;
        enum MHD_Result r;
        size_t n;

        if (!rs->body) {
                rs->status = 500;
                m = MHD_create_response_from_buffer_static(strlen(none), none);
        } else {
                n = strlen(rs->body);
                m = MHD_create_response_from_buffer(n, rs->body, MHD_RESPMEM_MUST_FREE);
                if (!m)
                        free(rs->body);
        }
        if (!m)
                return MHD_NO;
        r = MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
        if (r == MHD_YES)
                r = MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        if (r == MHD_YES && rs->session[0]) {
                char cookie[128];

                snprintf(
                                cookie, sizeof(cookie), KBS_COOKIE "=%s; Max-Age=%llu; Path=/; Secure; HttpOnly", rs->session,
                                (unsigned long long) (rs->session_usec / USEC_PER_SEC));
                r = MHD_add_response_header(m, MHD_HTTP_HEADER_SET_COOKIE, cookie);
        }
        if (r == MHD_YES)
                r = MHD_queue_response(c, rs->status, m);
        MHD_destroy_response(m);
        return r;
}

/* Called for the header, then for each piece of the body, then at its end. */
static enum MHD_Result handle(
                void *userdata,
                struct MHD_Connection *c,
                const char *url,
                const char *method,
                const char *version _unused_,
                const char *data,
                size_t *size,
                void **state) {

        struct server *s = userdata;
        struct upload *u = *state;
        struct broker_response rs = {};
        char peer[INET6_ADDRSTRLEN], path[512];
        struct broker_request rq;

        if (!u) {
                u = calloc(1, sizeof(*u));
                if (!u)
                        return MHD_NO;
                *state = u;
                return MHD_YES;
        }
        if (*size > 0) {
                if (*size > sizeof(u->body) - u->size)
                        u->too_long = true; /* the rest is thrown away as it comes */
                else {
                        memcpy(u->body + u->size, data, *size);
                        u->size += *size;
                }
                *size = 0;
                return MHD_YES;
        }

        peer_address(c, peer, sizeof(peer));
        /* It goes to the log. */
        snprintf(path, sizeof(path), "%s", url);
        for (char *p = path; *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        *p = '?';
        rq = (struct broker_request) {
                .method = method,
                .path = path,
                .content_type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE),
                .session = MHD_lookup_connection_value(c, MHD_COOKIE_KIND, KBS_COOKIE),
                .peer = peer,
                .body = u->body,
                .body_size = u->size,
                .now = now_monotonic(),
        };
        if (u->too_long)
                broker_refuse(s->broker, &rq, 413, "SerdeError", "the body is too long", &rs);
        else if (strlen(url) >= sizeof(path))
                broker_refuse(s->broker, &rq, 404, "InvalidRequestPath", "the path is too long", &rs);
        else
                broker_handle(s->broker, &rq, &rs);
        return respond(c, &rs);
}

static void completed(void *userdata _unused_, struct MHD_Connection *c _unused_, void **state, enum MHD_RequestTerminationCode code _unused_) {
        free(*state);
        *state = NULL;
}

/* libmicrohttpd limits idle time only: who sends a byte now and then would stay for ever. */
static void notify_connection(
                void *userdata, struct MHD_Connection *c, void **state _unused_, enum MHD_ConnectionNotificationCode code) {

        struct server *s = userdata;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

        if (!info)
                return;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
                struct connection *e = &s->connections[i];

                if (code == MHD_CONNECTION_NOTIFY_STARTED && e->fd < 0) {
                        *e = (struct connection) { info->connect_fd, now_monotonic() };
                        break;
                }
                if (code == MHD_CONNECTION_NOTIFY_CLOSED && e->fd == info->connect_fd)
                        e->fd = -1;
        }
        pthread_mutex_unlock(&s->lock);
}

void server_tick(struct server *s) {
        uint64_t now = now_monotonic();

        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
                struct connection *e = &s->connections[i];

                if (e->fd >= 0 && now - e->start > SERVER_CONNECTION_SECONDS * USEC_PER_SEC)
                        (void) shutdown(e->fd, SHUT_RDWR); /* the serving thread closes it */
        }
        pthread_mutex_unlock(&s->lock);
}

static bool has_ipv6(void) {
        _cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return fd >= 0 || errno != EAFNOSUPPORT;
}

int server_start(
                struct broker *broker,
                const char *address,
                uint16_t port,
                const char *certificate,
                const char *key,
                struct server **ret) {

        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } a = {};
        struct server *s;
        unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS | MHD_USE_POLL;

        if (streq(address, "::") && !has_ipv6())
                address = "0.0.0.0";
        if (inet_pton(AF_INET, address, &a.in.sin_addr) == 1) {
                a.in.sin_family = AF_INET;
                a.in.sin_port = htons(port);
        } else if (inet_pton(AF_INET6, address, &a.in6.sin6_addr) == 1) {
                a.in6.sin6_family = AF_INET6;
                a.in6.sin6_port = htons(port);
                flags |= IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr) ? MHD_USE_DUAL_STACK : MHD_USE_IPv6;
        } else
                return -EINVAL;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->broker = broker;
        pthread_mutex_init(&s->lock, NULL);
        for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
                s->connections[i].fd = -1;
        errno = 0;
        s->daemon = MHD_start_daemon(
                        flags, port, NULL, NULL, handle, s,                                         /**/
                        MHD_OPTION_SOCK_ADDR, &a.sa,                                                /**/
                        MHD_OPTION_HTTPS_MEM_CERT, certificate,                                     /**/
                        MHD_OPTION_HTTPS_MEM_KEY, key,                                              /**/
                        MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", /**/
                        MHD_OPTION_CONNECTION_LIMIT, (unsigned) SERVER_CONNECTIONS_MAX,             /**/
                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) SERVER_CONNECTIONS_PER_ADDRESS_MAX,
                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) SERVER_IDLE_SECONDS,  /**/
                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) 32 * 1024,         /**/
                        MHD_OPTION_NOTIFY_COMPLETED, completed, s,                      /**/
                        MHD_OPTION_NOTIFY_CONNECTION, notify_connection, s, MHD_OPTION_END);
        if (!s->daemon) {
                int r = errno > 0 ? -errno : -EIO;

                pthread_mutex_destroy(&s->lock);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

uint16_t server_port(struct server *s) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);

        return info ? info->port : 0;
}

void server_stop(struct server *s) {
        MHD_stop_daemon(s->daemon);
        pthread_mutex_destroy(&s->lock);
        free(s);
}
