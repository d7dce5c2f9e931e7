/* SPDX-License-Identifier: Apache-2.0 */
#include "domain-peer.h"

#include <ctype.h>

#define SCOPE "machine-qemu\\x2d"
#define DASH "\\x2d"

/* As virDomainMachineNameAppendValid() of libvirt: letters, digits, single dots and dashes, at most 64 of them with
 * what stands before. */
void domain_machine_name(const char *name, unsigned prefix, char buf[static 65]) {
        bool skip = true;
        size_t n = 0;

        for (; *name && prefix + n < 64; name++) {
                bool separator = *name == '.' || *name == '-';

                if (separator ? skip : !isalnum((unsigned char) *name)) {
                        skip = separator;
                        continue;
                }
                skip = separator;
                buf[n++] = *name;
        }
        while (n > 0 && (buf[n - 1] == '-' || buf[n - 1] == '.'))
                n--;
        buf[n] = 0;
}

/* The component of the path that is a domain's scope, with its end; NULL if there is none. */
static const char *find_scope(const char *cgroup, const char **ret_end) {
        for (const char *line = cgroup; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *p = line, *eol = line + strcspn(line, "\n");

                if (strncmp(line, "0::", 3) != 0) /* cgroup v2 */
                        continue;
                while ((p = memchr(p, '/', (size_t) (eol - p)))) {
                        const char *end;

                        p++;
                        end = p + strcspn(p, "/\n");
                        if (strncmp(p, SCOPE, strlen(SCOPE)) == 0 && end - p > 6 && strncmp(end - 6, ".scope", 6) == 0) {
                                *ret_end = end - 6;
                                return p + strlen(SCOPE);
                        }
                }
        }
        return NULL;
}

bool domain_peer_scope(const char *cgroup, char buf[static 256]) {
        const char *end, *scope = find_scope(cgroup, &end);

        if (!scope)
                return false;
        scope -= strlen(SCOPE);
        snprintf(buf, 256, "%.*s", (int) (end + strlen(".scope") - scope), scope);
        return true;
}

/* "3\x2dweb" of domain web? */
static bool scope_is_of(const char *p, const char *end, const char *name) {
        const char *number = p;
        char machine[65];

        while (p < end && isdigit((unsigned char) *p))
                p++;
        domain_machine_name(name, (unsigned) (strlen("qemu--") + (size_t) (p - number)), machine);
        if (p == number || machine[0] == 0 || strncmp(p, DASH, strlen(DASH)) != 0)
                return false;
        p += strlen(DASH);
        for (const char *m = machine; *m; m++) {
                const char *escaped = *m == '-' ? DASH : (const char[]) { *m, 0 };

                if ((size_t) (end - p) < strlen(escaped) || strncmp(p, escaped, strlen(escaped)) != 0)
                        return false;
                p += strlen(escaped);
        }
        return p == end;
}

bool domain_peer_matches(const char *profile, const char *cgroup, sd_id128_t uuid, const char *name) {
        const char *scope, *end;
        char expected[64];
        size_t n;

        scope = find_scope(cgroup, &end);
        if (!scope)
                return false;
        n = strcspn(strempty(profile), "\n"); /* "libvirt-UUID (enforce)" */
        if (n == 0 || (n == strlen("unconfined") && strncmp(profile, "unconfined", n) == 0))
                return scope_is_of(scope, end, name);
        snprintf(expected, sizeof(expected), "libvirt-" SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(uuid));
        return strncmp(profile, expected, strlen(expected)) == 0 &&
                (n == strlen(expected) || profile[strlen(expected)] == ' ');
}
