/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the operator asked for: one guest. The same JSON object travels from kcorectl to kcoresd (method
 * Launch), is kept in the state file, and is shown by "kcorectl show". Descriptors travel beside it. */

#include <systemd/sd-id128.h>
#include <systemd/sd-json.h>

#include "util.h"

#define GUEST_NAME_MAX 48
#define GUEST_DISKS_MAX 12 /* the bus passes 16 descriptors in a message, four are taken */
#define GUEST_FORWARDS_MAX 16
#define GUEST_APPEND_MAX 2047 /* COMMAND_LINE_SIZE of arm64, less its NUL */
#define GUEST_APPEND_TOO_LONG                                                                        \
        "the kernel command line is longer than 2047 characters with what is added to it: swiotlb= " \
        "unless it is given, earlycon= for an early console"
#define GUEST_LABEL_MAX 4096
#define GUEST_KERNEL_MAX (256 * MIB)
#define GUEST_INITRD_MAX (2 * GIB)
#define GUEST_IMAGE_MAX (3 * GIB)
#define GUEST_MEMORY_DEFAULT (512 * MIB)
#define GUEST_VCPUS_DEFAULT 1

typedef enum GuestNetwork {
        GUEST_NETWORK_NONE,
        GUEST_NETWORK_USER,
        GUEST_NETWORK_TAP,
        _GUEST_NETWORK_MAX,
        _GUEST_NETWORK_INVALID = -EINVAL,
} GuestNetwork;

const char *guest_network_to_string(GuestNetwork n);
GuestNetwork guest_network_from_string(const char *s);

struct guest_disk {
        char *path; /* a label for people: the descriptor counts */
        bool read_only;
        int fd; /* -EBADF if not open here */
};

struct guest_forward {
        uint16_t host_port, guest_port; /* TCP, 127.0.0.1 of the host only */
};

struct guest_config {
        char *name;
        sd_id128_t uuid;
        uint64_t memory; /* bytes */
        uint32_t vcpus;
        char *append;
        bool earlycon;

        /* Either an image, which says what memory, vcpus, append and earlycon are, or the others. */
        char *image_path, *kernel_path, *initrd_path; /* labels */
        int image_fd, kernel_fd, initrd_fd;           /* sealed memfds */

        GuestNetwork network;
        char *tap; /* interface name, a label */
        int tap_fd;
        struct guest_forward forwards[GUEST_FORWARDS_MAX];
        size_t n_forwards;

        struct guest_disk disks[GUEST_DISKS_MAX];
        size_t n_disks;
};

#define GUEST_CONFIG_INIT \
        { .memory = GUEST_MEMORY_DEFAULT, .vcpus = GUEST_VCPUS_DEFAULT, .image_fd = -EBADF, .kernel_fd = -EBADF, .initrd_fd = -EBADF, .tap_fd = -EBADF }

void guest_config_done(struct guest_config *c);
struct guest_config *guest_config_free(struct guest_config *c);
static inline void guest_config_donep(struct guest_config *c) {
        guest_config_done(c);
}

/* Closes all descriptors: QEMU has its own copies. */
void guest_config_close_fds(struct guest_config *c);

/* Letters, digits, '-' and '_', starting with a letter or digit, 1 to GUEST_NAME_MAX characters: safe as
 * file name, unit name and QEMU argument without any quoting. */
bool guest_name_is_valid(const char *name);

/* Paths and the like: not too long, no control characters. */
bool guest_label_is_valid(const char *s);

/* A complaint about one field; both strings are for people. field is static. */
struct config_error {
        const char *field;
        char *message;
};
static inline void config_error_donep(struct config_error *e) {
        free(e->message);
}
int config_error_set(struct config_error *e, const char *field, const char *format, ...) _printf_(3, 4);

/* Everything but descriptors: ranges, lengths, forbidden characters. -EINVAL with *e set, or -ENOMEM. */
int guest_config_validate(const struct guest_config *c, struct config_error *e);

int guest_config_to_json(const struct guest_config *c, sd_json_variant **ret);
/* The reverse; unknown fields are refused. -EINVAL with e->field set if a field has the wrong type. The
 * result is not validated. */
int guest_config_from_json(sd_json_variant *v, struct guest_config *ret, struct config_error *e);
