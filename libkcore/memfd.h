/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Payload travels in sealed memfds: whoever holds the descriptor knows that nobody can change it. */

#include "util.h"

typedef void (*memfd_progress_t)(uint64_t done, uint64_t total, void *userdata);

/* A sealed memfd with these bytes. Returns the descriptor. */
int memfd_from_data(const char *name, const void *data, size_t size);

/* A sealed memfd with the content of a regular file. -EFBIG if the file is larger than max, -EINVAL if it
 * is empty, -ENOTSUP (not -EISDIR) if it is no regular file. progress may be NULL. */
int memfd_from_file(int fd, const char *name, uint64_t max, memfd_progress_t progress, void *userdata);

/* Is fd a memfd whose content and size are final? Returns its size in *ret_size; -EINVAL if not sealed,
 * -EBADF if no memfd. */
int memfd_check_sealed(int fd, uint64_t *ret_size);
