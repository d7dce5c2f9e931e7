/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the broker gives, and to whom: three directories that an administrator fills.
 *
 *   platforms/NAME.kplat              identity document of a machine
 *   platforms/NAME.pem                or the public key that signs its platform tokens
 *   references/REPOSITORY/NAME.json   reference values; a guest that one of them accepts may read
 *   resources/REPOSITORY/TYPE/TAG     the resources of that repository
 *
 * Files are read when they are needed: a change takes effect at once. Other files and hidden ones are left
 * alone. */

#include "protocol.h"
#include "secret.h"

#define STORE_FILE_MAX (64 * 1024) /* bytes of a reference or platform file */
#define STORE_FILES_MAX 64         /* of each kind */

enum store_kind {
        STORE_IDENTITY,  /* *.kplat */
        STORE_KEY,       /* *.pem */
        STORE_REFERENCE, /* *.json */
};

struct store_file {
        enum store_kind kind;
        char repository[KBS_NAME_MAX + 1]; /* of a reference */
        char name[KBS_NAME_MAX + 1];       /* without suffix */
        char *data;                        /* a NUL follows */
        size_t size;
};

struct store_files {
        struct store_file *items;
        size_t n;
};

/* All platforms, sorted by name; all references, sorted by repository and name. What can not be read fails, as
 * half a policy is none: -ENAMETOOLONG for a name that is none (kbs_name_is_valid), -EFBIG, -E2BIG, -EISDIR, or
 * what the system said. */
int store_platforms(int dir_fd, struct store_files *ret);
int store_references(int dir_fd, struct store_files *ret);
void store_files_free(struct store_files *files);

/* A resource. Its name is checked already. -ENOENT or -ENOTDIR if there is none, -EFBIG if it is larger than
 * KBS_RESOURCE_MAX, -ELOOP for a symbolic link. */
int store_resource(int dir_fd, const char *repository, const char *type, const char *tag, struct secret *ret);
