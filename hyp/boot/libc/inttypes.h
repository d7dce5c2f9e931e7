/* SPDX-License-Identifier: Apache-2.0 */
/* For clang's own inttypes.h, which wants one below it. */
#include <stdint.h>
