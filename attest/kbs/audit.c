/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <time.h>

#include "json-strict.h"

int audit_open(struct audit *a, const char *path) {
        a->fd = streq(path, "-") ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) :
                                   open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        return a->fd < 0 ? -errno : 0;
}

int audit_write(struct audit *a, const struct audit_event *e) {
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL, *line = NULL;
        char when[64], session[17] = "";
        struct timespec ts;
        struct tm tm;
        ssize_t k;
        int n, r;

        clock_gettime(CLOCK_REALTIME, &ts);
        gmtime_r(&ts.tv_sec, &tm);
        n = (int) strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(when + n, sizeof(when) - (size_t) n, ".%03ldZ", ts.tv_nsec / 1000000);
        if (e->session) {
                uint8_t digest[32];

                if (EVP_Digest(e->session, strlen(e->session), digest, NULL, EVP_sha256(), NULL) != 1)
                        return -EIO;
                for (size_t i = 0; i < 8; i++)
                        snprintf(session + 2 * i, 3, "%02x", digest[i]);
        }
        r = sd_json_buildo(
                        &v, SD_JSON_BUILD_PAIR_STRING("time", when), SD_JSON_BUILD_PAIR_STRING("event", e->event),
                        SD_JSON_BUILD_PAIR_BOOLEAN("granted", e->granted),
                        SD_JSON_BUILD_PAIR_CONDITION(!!e->peer, "peer", SD_JSON_BUILD_STRING(e->peer)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!e->session, "session", SD_JSON_BUILD_STRING(session)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!e->subject, "subject", SD_JSON_BUILD_STRING(e->subject)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!e->reason, "reason", SD_JSON_BUILD_STRING(e->reason)));
        r = r < 0 ? r : sd_json_variant_format(v, 0, &text);
        if (r < 0)
                return r;
        n = asprintf(&line, "%s\n", text);
        if (n < 0)
                return -ENOMEM;
        do
                k = write(a->fd, line, (size_t) n);
        while (k < 0 && errno == EINTR);
        return k == n ? 0 : k < 0 ? -errno : -ENOSPC;
}
