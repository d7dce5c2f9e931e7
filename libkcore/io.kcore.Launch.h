/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Varlink interface io.kcore.Launch: how the QEMU of a domain that somebody else manages (libvirt) gets the
 * launch that was armed for it. Its text, with comments, is docs/io.kcore.Launch.varlink. */

#include <systemd/sd-varlink-idl.h>

#define LAUNCH_INTERFACE_NAME "io.kcore.Launch"
#define LAUNCH_SOCKET "/run/kcore/io.kcore.Launch"

#define METHOD_CLAIM LAUNCH_INTERFACE_NAME ".Claim"

#define ERROR_NOT_ARMED LAUNCH_INTERFACE_NAME ".NotArmed"
#define ERROR_ALREADY_CLAIMED LAUNCH_INTERFACE_NAME ".AlreadyClaimed"
#define ERROR_NOT_THE_DOMAIN LAUNCH_INTERFACE_NAME ".NotTheDomain"

extern const sd_varlink_interface vl_interface_io_kcore_Launch;
