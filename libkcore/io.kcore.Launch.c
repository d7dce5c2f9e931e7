/* SPDX-License-Identifier: Apache-2.0 */
#include "io.kcore.Launch.h"

#include <stddef.h>

static SD_VARLINK_DEFINE_METHOD(
                Claim,
                SD_VARLINK_FIELD_COMMENT("Of the domain"),
                SD_VARLINK_DEFINE_INPUT(uuid, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Index of a returned descriptor: the launch, for -accel kvm,device="),
                SD_VARLINK_DEFINE_OUTPUT(launchFileDescriptor, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("The same: a listening socket, the port of the guest's agent"),
                SD_VARLINK_DEFINE_OUTPUT(agentFileDescriptor, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("The same: a listening socket for a control monitor of kcoresd's own"),
                SD_VARLINK_DEFINE_OUTPUT(monitorFileDescriptor, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("What QEMU's memory must be, in bytes: up to the end of the shared alias of RAM"),
                SD_VARLINK_DEFINE_OUTPUT(memory, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(vcpus, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("What QEMU must be allowed to lock, in bytes"),
                SD_VARLINK_DEFINE_OUTPUT(lockedMemory, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_ERROR(NotArmed, SD_VARLINK_DEFINE_FIELD(uuid, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(AlreadyClaimed, SD_VARLINK_DEFINE_FIELD(uuid, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NotTheDomain, SD_VARLINK_DEFINE_FIELD(uuid, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
                io_kcore_Launch,
                LAUNCH_INTERFACE_NAME,
                SD_VARLINK_INTERFACE_COMMENT(
                                "Hands the QEMU of a libvirt domain the launch that was armed for it (ArmDomain of "
                                "io.kcore.Manager). Who calls is told from its AppArmor profile and its cgroup."),
                SD_VARLINK_SYMBOL_COMMENT("Once for each arming, by the domain's own process only"),
                &vl_method_Claim,
                SD_VARLINK_SYMBOL_COMMENT("No launch is armed for this domain, or it was not claimed in time"),
                &vl_error_NotArmed,
                SD_VARLINK_SYMBOL_COMMENT("The launch was handed over before"),
                &vl_error_AlreadyClaimed,
                SD_VARLINK_SYMBOL_COMMENT("The caller is not the process that libvirt started for this domain"),
                &vl_error_NotTheDomain);
