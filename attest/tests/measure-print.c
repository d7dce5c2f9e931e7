/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the RIM of a launch, for measure.py to compute it by itself. usage: measure-print S2SZ HASH RAM-BASE
 * RAM-SIZE VCPUS ENTRY X0 BLOCK|- [IPA:LENGTH:SEED:MEASURED...], numbers in C's notation, the block in hex. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kcore-attest.h"

static uint64_t number(const char *s) {
        return strtoull(s, NULL, 0);
}

int main(int argc, char **argv) {
        struct kcore_measure_segment segments[KCORE_MEASURE_MAX_SEGMENTS] = {};
        uint8_t block[KCORE_LAUNCH_BLOCK_SIZE], rim[KCORE_MEASUREMENT_MAX], *data[KCORE_MEASURE_MAX_SEGMENTS] = {};
        enum kcore_attest_error e;
        size_t size, n = 0;

        if (argc < 9 || argc - 9 > (int) KCORE_MEASURE_MAX_SEGMENTS)
                return 2;
        struct kcore_measure_launch launch = {
                .s2sz = (unsigned) number(argv[1]),
                .hash = (unsigned) number(argv[2]),
                .ram_base = number(argv[3]),
                .ram_size = number(argv[4]),
                .vcpus = (unsigned) number(argv[5]),
                .entry_pc = number(argv[6]),
                .entry_regs = { number(argv[7]) },
                .segments = segments,
        };
        if (strcmp(argv[8], "-") != 0) {
                for (size_t i = 0; i < sizeof(block); i++)
                        if (sscanf(argv[8] + 2 * i, "%2hhx", &block[i]) != 1)
                                return 2;
                launch.block = block;
        }
        for (; n < (size_t) argc - 9; n++) {
                unsigned long long ipa, length;
                unsigned seed, measured;

                if (sscanf(argv[9 + n], "%lli:%lli:%u:%u", &ipa, &length, &seed, &measured) != 4)
                        return 2;
                data[n] = malloc(length);
                if (!data[n])
                        return 2;
                for (size_t i = 0; i < length; i++)
                        data[n][i] = (uint8_t) (seed + 31 * i + (i >> 8));
                segments[n] = (struct kcore_measure_segment) { ipa, data[n], length, measured };
        }
        launch.n_segments = n;

        e = kcore_measure_launch(&launch, rim, &size);
        while (n > 0)
                free(data[--n]);
        if (e != KCORE_ATTEST_OK) {
                fprintf(stderr, "%s\n", kcore_attest_strerror(e));
                return 1;
        }
        for (size_t i = 0; i < size; i++)
                printf("%02x", rim[i]);
        printf("\n");
        return 0;
}
