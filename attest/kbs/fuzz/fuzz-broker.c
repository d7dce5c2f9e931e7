/* SPDX-License-Identifier: Apache-2.0 */
/* The key broker behind its transport. An input is a series of requests: a byte for what, a byte for the session,
 * two for the length of the body or name. Nothing but a good token may get more than a nonce. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../broker.h"
#include "../jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct broker broker = { .issuer = "fuzz", .sessions = { .challenge_usec = 1000, .attested_usec = 1000 } };

static int directory(int at, const char *name) {
        (void) mkdirat(at, name, 0700);
        return openat(at, name, O_RDONLY | O_DIRECTORY);
}

/* references/r/x.json and platforms/p.pem, so that tokens are looked at. */
static void set_up(void) {
        char path[] = "/tmp/fuzz-broker-XXXXXX";
        int top, fd;
        EVP_PKEY *key;

        if (!mkdtemp(path))
                abort();
        top = open(path, O_RDONLY | O_DIRECTORY);
        broker.platforms_fd = directory(top, "platforms");
        broker.references_fd = directory(top, "references");
        broker.resources_fd = directory(top, "resources");
        fd = openat(directory(broker.references_fd, "r"), "x.json", O_WRONLY | O_CREAT, 0600);
        if (write(fd, "{\"version\":1,\"platform\":{},\"realm\":{}}", 38) != 38)
                abort();
        close(fd);
        /* A key of the broker's own will do for a platform that nobody has. */
        if (jwt_key_load(top, &key) < 0 || linkat(top, "token-key.pub.pem", broker.platforms_fd, "p.pem", 0) < 0)
                abort();
        broker.token_key = key;
        broker.audit.fd = open("/dev/null", O_WRONLY);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const paths[] = { "/kbs/v0/auth", "/kbs/v0/attest", "/kbs/v0/resource/r/a/b" };
        char sessions[4][SESSION_ID_SIZE + 1] = {};
        uint64_t now = 1;
        size_t n = 0;

        if (!broker.token_key)
                set_up();
        while (size >= 4) {
                unsigned what = data[0] % 4;
                size_t length = (size_t) (data[2] << 8 | data[3]) % (size - 4 + 1);
                char name[256];
                struct broker_response rs;
                struct broker_request rq = {
                        .method = what >= 2 ? "GET" : "POST", .path = paths[what % 3], .content_type = "application/json",
                        .session = data[1] & 4 ? NULL : sessions[data[1] & 3], .peer = "fuzz",
                        .body = (const char *) data + 4, .body_size = length, .now = now += data[1],
                };

                if (what == 3) {
                        snprintf(name, sizeof(name), "/kbs/v0/resource/%.*s", (int) MIN(length, (size_t) 200), (const char *) data + 4);
                        rq.path = name;
                }
                broker_handle(&broker, &rq, &rs);
                if (rs.status == 200 && what != 0)
                        abort();
                if (rs.status == 200)
                        memcpy(sessions[n++ % 4], rs.session, sizeof(rs.session));
                if (rs.status < 200 || rs.status > 599)
                        abort();
                free(rs.body);
                data += 4 + length;
                size -= 4 + length;
        }
        sessions_end_all(&broker.sessions);
        return 0;
}
