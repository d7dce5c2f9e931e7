/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Scope-bound cleanup and small string helpers, in the manner of systemd. Functions return 0 or a
 * positive value on success and a negative errno on failure. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

#define ALIGN_TO(x, a) (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))

#define TAKE_PTR(p) ({ __typeof__(p) _p = (p); (p) = NULL; _p; })
#define TAKE_FD(f) ({ int _f = (f); (f) = -EBADF; _f; })

static inline void freep(void *p) {
        free(*(void **) p);
}

/* Closes unless negative, keeps errno. Returns -EBADF, so that "fd = safe_close(fd)" is idempotent. */
static inline int safe_close(int fd) {
        if (fd >= 0) {
                int saved = errno;
                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void closep(int *fd) {
        *fd = safe_close(*fd);
}

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool isempty(const char *s) {
        return !s || !*s;
}

static inline const char *strempty(const char *s) {
        return s ?: "";
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

char **strv_free(char **l);
static inline void strv_freep(char ***l) {
        *l = strv_free(*l);
}
#define _cleanup_strv_free_ _cleanup_(strv_freep)
size_t strv_length(char *const *l);
/* Append a copy of s, or a formatted string. 0 or -ENOMEM. */
int strv_extend(char ***l, const char *s);
int strv_extendf(char ***l, const char *format, ...) _printf_(2, 3);

/* Replace *p by a copy of s (which may be NULL). 0 or -ENOMEM. */
int free_and_strdup(char **p, const char *s);

/* "1", "1K", "512M", "2G" (powers of 1024) to bytes. -EINVAL for anything else, -ERANGE if it does not fit. */
int parse_size(const char *s, uint64_t *ret);
/* Decimal digits only. -EINVAL or -ERANGE. */
int parse_unsigned(const char *s, uint64_t max, uint64_t *ret);

/* Bytes as people write them: "512M", "1.5G". */
char *format_size(char buf[static 32], uint64_t bytes);

uint64_t now_usec(int clock);

/* Read a small file (at most max bytes) to a NUL-terminated string. -EFBIG if it is larger. */
int read_small_file(const char *path, size_t max, char **ret);
/* Write atomically (temporary file, rename) with the given mode: n bytes, or a text. */
int write_data_atomic(const char *path, const void *data, size_t n, unsigned mode);
int write_file_atomic(const char *path, const char *content, unsigned mode);
