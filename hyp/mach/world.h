/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KCORE_WORLD_H
#define KCORE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

/* Run a loaded REC until the core ends the run. */
void realm_run(uint64_t rec);

/* HPFAR_EL2 of an abort from EL1 or EL0. False: run the instruction again. */
bool trap_hpfar(uint64_t esr, uint64_t far, uint64_t *hpfar);

#endif
