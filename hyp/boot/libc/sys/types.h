/* SPDX-License-Identifier: Apache-2.0 */
/* Empty: HACL* includes it and uses nothing of it here. */
