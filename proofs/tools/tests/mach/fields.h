/* SPDX-License-Identifier: Apache-2.0 */
/* Objects for the test files: every table has a field and an array. */
#define RD_FIELDS(F, A) F(state) A(meas, 4) F(last)
#define REC_FIELDS(F, A) F(pc) A(gpr, 31)
#define RUN_ENTRY_FIELDS(F, A) F(flags, 0x000) A(gpr, 0x200, 31)
#define RUN_EXIT_FIELDS(F, A) F(reason, 0x800) A(gpr, 0xa00, 31)
