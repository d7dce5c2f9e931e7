/* SPDX-License-Identifier: Apache-2.0 */
/* libfdt and HACL* include this for functions that are not linked in. */
#ifndef KCORE_STDLIB_H
#define KCORE_STDLIB_H

#include <stddef.h>

unsigned long strtoul(const char *s, char **end, int base);
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void free(void *p);
_Noreturn void exit(int code);

/* HACL*'s bignums: of constant size, a few hundred bytes. */
#define alloca __builtin_alloca

#endif
