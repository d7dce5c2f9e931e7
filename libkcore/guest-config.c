/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>

#include "layout.h"

static const char *const network_table[_GUEST_NETWORK_MAX] = {
        [GUEST_NETWORK_NONE] = "none",
        [GUEST_NETWORK_USER] = "user",
        [GUEST_NETWORK_TAP] = "tap",
};

const char *guest_network_to_string(GuestNetwork n) {
        return n >= 0 && n < _GUEST_NETWORK_MAX ? network_table[n] : NULL;
}

GuestNetwork guest_network_from_string(const char *s) {
        for (int i = 0; s && i < _GUEST_NETWORK_MAX; i++)
                if (streq(network_table[i], s))
                        return (GuestNetwork) i;
        return _GUEST_NETWORK_INVALID;
}

void guest_config_close_fds(struct guest_config *c) {
        c->image_fd = safe_close(c->image_fd);
        c->kernel_fd = safe_close(c->kernel_fd);
        c->initrd_fd = safe_close(c->initrd_fd);
        c->tap_fd = safe_close(c->tap_fd);
        for (size_t i = 0; i < c->n_disks; i++)
                c->disks[i].fd = safe_close(c->disks[i].fd);
}

void guest_config_done(struct guest_config *c) {
        guest_config_close_fds(c);
        for (size_t i = 0; i < c->n_disks; i++)
                free(c->disks[i].path);
        free(c->name);
        free(c->append);
        free(c->image_path);
        free(c->kernel_path);
        free(c->initrd_path);
        free(c->tap);
        *c = (struct guest_config) GUEST_CONFIG_INIT;
}

bool guest_name_is_valid(const char *name) {
        if (isempty(name) || strlen(name) > GUEST_NAME_MAX)
                return false;
        for (const char *p = name; *p; p++) {
                bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

                if (!alnum && (p == name || (*p != '-' && *p != '_')))
                        return false;
        }
        return true;
}

int config_error_set(struct config_error *e, const char *field, const char *format, ...) {
        va_list ap;
        int n;

        free(e->message);
        e->field = field;
        va_start(ap, format);
        n = vasprintf(&e->message, format, ap);
        va_end(ap);
        if (n < 0) {
                e->message = NULL;
                return -ENOMEM;
        }
        return -EINVAL;
}

/* Labels are shown on terminals and in logs: no control characters. */
bool guest_label_is_valid(const char *s) {
        if (strlen(s) > GUEST_LABEL_MAX)
                return false;
        for (; *s; s++)
                if ((unsigned char) *s < ' ' || *s == 0x7f)
                        return false;
        return true;
}

int guest_config_validate(const struct guest_config *c, struct config_error *e) {
        struct guest_layout layout;

        /* Can the name be a file, a unit, a QEMU argument? */
        if (isempty(c->name))
                return config_error_set(e, "name", "a guest needs a name");
        if (!guest_name_is_valid(c->name))
                return config_error_set(
                                e, "name",
                                "a guest name has 1 to %d letters, digits, '-' or '_' and starts with a letter or digit",
                                GUEST_NAME_MAX);

        /* Can KCore and QEMU make that much memory and that many vCPUs? */
        if (guest_layout_memory(c->memory, &layout) < 0)
                return config_error_set(
                                e, "memory", "memory must be a multiple of 2M, from %" PRIu64 "M to %" PRIu64 "G",
                                (uint64_t) (GUEST_MEMORY_MIN / MIB), (uint64_t) (GUEST_MEMORY_MAX / GIB));
        if (c->vcpus < 1 || c->vcpus > GUEST_VCPUS_MAX)
                return config_error_set(e, "vcpus", "the number of vCPUs must be from 1 to %d", GUEST_VCPUS_MAX);

        /* Does the command line fit Linux's buffer, as one line? */
        if (strlen(strempty(c->append)) > GUEST_APPEND_MAX)
                return config_error_set(
                                e, "append", "the kernel command line is longer than %d characters", GUEST_APPEND_MAX);
        for (const char *p = strempty(c->append); *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return config_error_set(e, "append", "the kernel command line has a control character in it");

        if (!guest_label_is_valid(strempty(c->image_path)))
                return config_error_set(e, "image", "the image's path is too long or has control characters");
        if (!guest_label_is_valid(strempty(c->kernel_path)))
                return config_error_set(e, "kernel", "the kernel's path is too long or has control characters");
        if (!guest_label_is_valid(strempty(c->initrd_path)))
                return config_error_set(e, "initrd", "the initrd's path is too long or has control characters");
        for (size_t i = 0; i < c->n_disks; i++)
                if (!guest_label_is_valid(strempty(c->disks[i].path)))
                        return config_error_set(
                                        e, "disks", "the path of disk %zu is too long or has control characters", i + 1);

        /* Are network options consistent? */
        if (!guest_network_to_string(c->network))
                return config_error_set(e, "network", "the network must be user, none or tap");
        if (c->network == GUEST_NETWORK_TAP && (isempty(c->tap) || strlen(c->tap) > 15 || !guest_label_is_valid(c->tap)))
                return config_error_set(e, "tap", "network tap needs the name of a tap interface (tap:NAME)");
        if (c->n_forwards > 0 && c->network != GUEST_NETWORK_USER)
                return config_error_set(e, "forwards", "ports can be forwarded with network user only");
        for (size_t i = 0; i < c->n_forwards; i++) {
                if (c->forwards[i].host_port == 0 || c->forwards[i].guest_port == 0)
                        return config_error_set(e, "forwards", "port 0 can not be forwarded");
                for (size_t j = 0; j < i; j++)
                        if (c->forwards[i].host_port == c->forwards[j].host_port)
                                return config_error_set(
                                                e, "forwards", "port %u is forwarded twice", c->forwards[i].host_port);
        }
        return 0;
}

int guest_config_to_json(const struct guest_config *c, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *disks = NULL, *forwards = NULL, *v = NULL;
        int r;

        for (size_t i = 0; i < c->n_disks; i++) {
                r = sd_json_variant_append_arraybo(
                                &disks,
                                SD_JSON_BUILD_PAIR_STRING("path", strempty(c->disks[i].path)),
                                SD_JSON_BUILD_PAIR_BOOLEAN("readOnly", c->disks[i].read_only));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < c->n_forwards; i++) {
                r = sd_json_variant_append_arraybo(
                                &forwards,
                                SD_JSON_BUILD_PAIR_UNSIGNED("hostPort", c->forwards[i].host_port),
                                SD_JSON_BUILD_PAIR_UNSIGNED("guestPort", c->forwards[i].guest_port));
                if (r < 0)
                        return r;
        }

        r = sd_json_buildo(
                        &v,
                        SD_JSON_BUILD_PAIR_STRING("name", c->name),
                        SD_JSON_BUILD_PAIR_CONDITION(!sd_id128_is_null(c->uuid), "uuid", SD_JSON_BUILD_UUID(c->uuid)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("memory", c->memory),
                        SD_JSON_BUILD_PAIR_UNSIGNED("vcpus", c->vcpus),
                        SD_JSON_BUILD_PAIR_STRING("append", strempty(c->append)),
                        SD_JSON_BUILD_PAIR_BOOLEAN("earlyConsole", c->earlycon),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->image_path, "image", SD_JSON_BUILD_STRING(c->image_path)),
                        SD_JSON_BUILD_PAIR_STRING("kernel", strempty(c->kernel_path)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->initrd_path, "initrd", SD_JSON_BUILD_STRING(c->initrd_path)),
                        SD_JSON_BUILD_PAIR_STRING("network", guest_network_to_string(c->network)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->tap, "tap", SD_JSON_BUILD_STRING(c->tap)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!forwards, "forwards", SD_JSON_BUILD_VARIANT(forwards)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!disks, "disks", SD_JSON_BUILD_VARIANT(disks)));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static int dispatch_network(const char *name, sd_json_variant *v, sd_json_dispatch_flags_t flags _unused_, void *userdata) {
        GuestNetwork *n = userdata;

        (void) name;
        *n = guest_network_from_string(sd_json_variant_string(v));
        return *n < 0 ? -EINVAL : 0;
}

static int dispatch_forwards(const char *name, sd_json_variant *v, sd_json_dispatch_flags_t flags, void *userdata) {
        static const sd_json_dispatch_field table[] = {
                { "hostPort",  _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint16, offsetof(struct guest_forward, host_port),  SD_JSON_MANDATORY },
                { "guestPort", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint16, offsetof(struct guest_forward, guest_port), SD_JSON_MANDATORY },
                {}
        };
        struct guest_config *c = userdata;

        (void) name;
        (void) flags;
        if (sd_json_variant_elements(v) > GUEST_FORWARDS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < sd_json_variant_elements(v); i++) {
                int r;

                r = sd_json_dispatch(sd_json_variant_by_index(v, i), table, 0, &c->forwards[i]);
                if (r < 0)
                        return r;
                c->n_forwards = i + 1;
        }
        return 0;
}

static int dispatch_disks(const char *name, sd_json_variant *v, sd_json_dispatch_flags_t flags, void *userdata) {
        static const sd_json_dispatch_field table[] = {
                { "path",     SD_JSON_VARIANT_STRING,  sd_json_dispatch_string,  offsetof(struct guest_disk, path),      0 },
                { "readOnly", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_stdbool, offsetof(struct guest_disk, read_only), 0 },
                {}
        };
        struct guest_config *c = userdata;

        (void) name;
        (void) flags;
        if (sd_json_variant_elements(v) > GUEST_DISKS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < sd_json_variant_elements(v); i++) {
                int r;

                c->disks[i] = (struct guest_disk) { .fd = -EBADF };
                c->n_disks = i + 1;
                r = sd_json_dispatch(sd_json_variant_by_index(v, i), table, 0, &c->disks[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int guest_config_from_json(sd_json_variant *v, struct guest_config *ret, struct config_error *e) {
        static const sd_json_dispatch_field table[] = {
                { "name",         SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, name),        SD_JSON_MANDATORY },
                { "uuid",         SD_JSON_VARIANT_STRING,        sd_json_dispatch_id128,   offsetof(struct guest_config, uuid),        0 },
                { "memory",       _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64,  offsetof(struct guest_config, memory),      0 },
                { "vcpus",        _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint32,  offsetof(struct guest_config, vcpus),       0 },
                { "append",       SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, append),      0 },
                { "earlyConsole", SD_JSON_VARIANT_BOOLEAN,       sd_json_dispatch_stdbool, offsetof(struct guest_config, earlycon),    0 },
                { "image",        SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, image_path),  0 },
                { "kernel",       SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, kernel_path), 0 },
                { "initrd",       SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, initrd_path), 0 },
                { "network",      SD_JSON_VARIANT_STRING,        dispatch_network,         offsetof(struct guest_config, network),     0 },
                { "tap",          SD_JSON_VARIANT_STRING,        sd_json_dispatch_string,  offsetof(struct guest_config, tap),         0 },
                { "forwards",     SD_JSON_VARIANT_ARRAY,         dispatch_forwards,        0,                                          0 },
                { "disks",        SD_JSON_VARIANT_ARRAY,         dispatch_disks,           0,                                          0 },
                {}
        };
        _cleanup_(guest_config_donep) struct guest_config c = GUEST_CONFIG_INIT;
        const char *bad = NULL;
        int r;

        if (!sd_json_variant_is_object(v))
                return config_error_set(e, "guest", "the description of a guest is not an object");
        r = sd_json_dispatch_full(v, table, NULL, 0, &c, &bad);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                /* bad points into the message: name our own string where we know it. */
                for (const sd_json_dispatch_field *f = table; bad && f->name; f++)
                        if (streq(f->name, bad))
                                return config_error_set(e, f->name, "the field \"%s\" is missing, or has a wrong type or value", f->name);
                return config_error_set(e, "guest", "the description of the guest has an unknown or repeated field");
        }

        *ret = c;
        c = (struct guest_config) GUEST_CONFIG_INIT;
        return 0;
}
