/* SPDX-License-Identifier: Apache-2.0 */
/* HACL* names these; nothing that is linked in uses them. */
#ifndef KCORE_STDIO_H
#define KCORE_STDIO_H

typedef struct kcore_no_file FILE;
int printf(const char *format, ...);

#endif
