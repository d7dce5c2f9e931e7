/* SPDX-License-Identifier: Apache-2.0 */

/* libvirt's hook: kcore-libvirt-hook DOMAIN OPERATION SUBOPERATION EXTRA, the domain's XML on standard input
 * (https://libvirt.org/hooks.html). Before a protected domain is started it has kcoresd arm the launch; a domain that says it is
 * protected and would not be is refused. Of ordinary domains it wants nothing. What it says on standard error, virsh shows. */

#include <fcntl.h>
#include <systemd/sd-varlink.h>

#include "../kcoresd/manager.h"
#include "../libkcore/guest-config.h"
#include "../libkcore/io.kcore.Manager.h"
#include "../libkcore/memfd.h"
#include "domain-xml.h"
#include "refuse.h"

#define CALL_TIMEOUT_USEC (120 * USEC_PER_SEC)

#define die(format, ...) (fprintf(stderr, "kcore: " format "\n", ##__VA_ARGS__), EXIT_FAILURE)

static int read_input(char **ret, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        ssize_t k;

        text = malloc(DOMAIN_XML_MAX + 1);
        if (!text)
                return -ENOMEM;
        do {
                k = read(STDIN_FILENO, text + n, DOMAIN_XML_MAX + 1 - n);
                if (k < 0 && errno != EINTR)
                        return -errno;
                n += k > 0 ? (size_t) k : 0;
        } while (k != 0 && n <= DOMAIN_XML_MAX);
        *ret = TAKE_PTR(text);
        *ret_size = n;
        return 0;
}

static int open_image(const char *path, int *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        int r;

        if (fd < 0)
                return die("image %s can not be opened: %s", path, strerror(errno));
        r = memfd_from_file(fd, "kcore-image", GUEST_IMAGE_MAX, NULL, NULL);
        if (r < 0)
                return die("image %s can not be read: %s", path, r == -EFBIG ? "it is too large" : strerror(-r));
        *ret = r;
        return 0;
}

static int refused(const struct domain_xml *d, const char *error, sd_json_variant *p) {
        if (streq(error, ERROR_CHECK_FAILED))
                return die("domain %s can not be a realm on this machine: %s: %s. %s", d->name, reply_text(p, "title"),
                           reply_text(p, "message"), reply_text(p, "fix"));
        if (streq(error, ERROR_GUEST_EXISTS))
                return die("domain %s is running already", d->name);
        if (*reply_text(p, "message"))
                return die("domain %s can not be launched: %s", d->name, reply_text(p, "message"));
        return die("domain %s can not be launched: %s", d->name, error);
}

/* Returns 0, or an exit status after saying why. image < 0: to disarm. */
static int call(const struct domain_xml *d, int image) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        const char *error = NULL;
        sd_json_variant *v = NULL;
        char uuid[37];
        int r;

        snprintf(uuid, sizeof(uuid), SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(d->uuid));
        r = sd_varlink_connect_address(&link, MANAGER_SOCKET);
        if (r < 0)
                return die("domain %s can not be started protected: kcoresd can not be reached at " MANAGER_SOCKET ": %s. Start it: systemctl start kcoresd.socket",
                           d->name, strerror(-r));
        r = sd_varlink_set_relative_timeout(link, CALL_TIMEOUT_USEC);
        r = r < 0 ? r : sd_varlink_set_allow_fd_passing_output(link, true);
        if (r >= 0 && image >= 0) {
                r = sd_varlink_push_dup_fd(link, image);
                r = r < 0 ? r : sd_varlink_callbo(
                                        link, METHOD_ARM_DOMAIN, &v, &error, SD_JSON_BUILD_PAIR_STRING("name", d->name),
                                        SD_JSON_BUILD_PAIR_STRING("uuid", uuid), SD_JSON_BUILD_PAIR_UNSIGNED("memory", d->memory),
                                        SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", d->vcpus), SD_JSON_BUILD_PAIR_STRING("image", d->image),
                                        SD_JSON_BUILD_PAIR_INTEGER("imageFileDescriptor", 0));
        } else if (r >= 0)
                r = sd_varlink_callbo(link, METHOD_DISARM_DOMAIN, &v, &error, SD_JSON_BUILD_PAIR_STRING("uuid", uuid));
        if (r < 0)
                return die("kcoresd does not answer: %s", strerror(-r));
        return error ? refused(d, error, v) : 0;
}

static int arm(const struct domain_xml *d) {
        _cleanup_close_ int image = -EBADF;
        _cleanup_free_ char *error = NULL;
        int r;

        r = domain_xml_check(d, &error);
        if (r < 0)
                return die("%s", error ?: strerror(-r));
        r = open_image(d->image, &image);
        return r ?: call(d, image);
}

int main(int argc, char **argv) {
        _cleanup_(domain_xml_donep) struct domain_xml d = {};
        _cleanup_free_ char *text = NULL, *error = NULL;
        const char *operation;
        size_t size = 0;
        int r;

        if (argc < 3) {
                fprintf(stderr, "usage: kcore-libvirt-hook DOMAIN OPERATION [SUBOPERATION [EXTRA]], XML on standard input\n");
                return 2;
        }
        operation = argv[2];
        r = read_input(&text, &size);
        if (r < 0)
                return die("the XML of domain %s can not be read: %s", argv[1], strerror(-r));
        r = domain_xml_parse(text, size, &d, &error);
        if (r < 0)
                return die("domain %s: %s", argv[1], error ?: strerror(-r));
        if (!domain_xml_says_protected(&d))
                return EXIT_SUCCESS;

        if (streq(operation, "prepare"))
                return arm(&d);
        if (streq(operation, "migrate") || streq(operation, "restore"))
                return die("domain %s is a realm: it can not be restored or migrated", d.name);
        if (streq(operation, "release"))
                return call(&d, -EBADF);
        return EXIT_SUCCESS;
}
