/* SPDX-License-Identifier: Apache-2.0 */
#include "io.kcore.Manager.h"

#include <stddef.h>

static SD_VARLINK_DEFINE_ENUM_TYPE(
                GuestStatus,
                SD_VARLINK_FIELD_COMMENT("QEMU was asked for and the realm is not made yet"),
                SD_VARLINK_DEFINE_ENUM_VALUE(starting),
                SD_VARLINK_FIELD_COMMENT("The realm runs"),
                SD_VARLINK_DEFINE_ENUM_VALUE(running),
                SD_VARLINK_FIELD_COMMENT("Somebody asked for its end"),
                SD_VARLINK_DEFINE_ENUM_VALUE(stopping),
                SD_VARLINK_FIELD_COMMENT("It ended, by itself or by request"),
                SD_VARLINK_DEFINE_ENUM_VALUE(exited),
                SD_VARLINK_FIELD_COMMENT("It ended because of an error, or never started"),
                SD_VARLINK_DEFINE_ENUM_VALUE(failed));

static SD_VARLINK_DEFINE_ENUM_TYPE(
                Network,
                SD_VARLINK_FIELD_COMMENT("No network device"),
                SD_VARLINK_DEFINE_ENUM_VALUE(none),
                SD_VARLINK_FIELD_COMMENT("Connections out, through a user-mode stack in QEMU"),
                SD_VARLINK_DEFINE_ENUM_VALUE(user),
                SD_VARLINK_FIELD_COMMENT("A tap interface, whose descriptor is passed along"),
                SD_VARLINK_DEFINE_ENUM_VALUE(tap));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Disk,
                SD_VARLINK_FIELD_COMMENT("Where it was opened; shown to people, not used"),
                SD_VARLINK_DEFINE_FIELD(path, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("The descriptor must be open O_RDONLY if true, O_RDWR otherwise"),
                SD_VARLINK_DEFINE_FIELD(readOnly, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Forward,
                SD_VARLINK_FIELD_COMMENT("TCP port on 127.0.0.1 of the host"),
                SD_VARLINK_DEFINE_FIELD(hostPort, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(guestPort, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Guest,
                SD_VARLINK_FIELD_COMMENT("1 to 48 letters, digits, '-' and '_', starting with a letter or digit"),
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Random if not given"),
                SD_VARLINK_DEFINE_FIELD(uuid, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Private RAM in bytes, a multiple of 2 MiB; 512 MiB if not given; of an image, what it says"),
                SD_VARLINK_DEFINE_FIELD(memory, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("1 if not given; of an image, what it says"),
                SD_VARLINK_DEFINE_FIELD(vcpus, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("The kernel's command line; not with an image"),
                SD_VARLINK_DEFINE_FIELD(append, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Put earlycon= before the command line"),
                SD_VARLINK_DEFINE_FIELD(earlyConsole, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Where the image was read from; shown to people, not used"),
                SD_VARLINK_DEFINE_FIELD(image, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Where the kernel was read from; shown to people, not used"),
                SD_VARLINK_DEFINE_FIELD(kernel, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(initrd, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("\"none\" if not given"),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(network, Network, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Name of the tap interface; shown to people"),
                SD_VARLINK_DEFINE_FIELD(tap, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("With network \"user\" only"),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(forwards, Forward, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("virtio-blk disks, raw, in this order; at most 12"),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(disks, Disk, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                GuestState,
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(guest, Guest, 0),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(status, GuestStatus, 0),
                SD_VARLINK_FIELD_COMMENT("Microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(createdUSec, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(endedUSec, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Why it ended, for people"),
                SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("\"libvirt\": it is a domain, which libvirt starts and stops. Missing: a guest of kcoresd's own"),
                SD_VARLINK_DEFINE_FIELD(manager, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Realm,
                SD_VARLINK_FIELD_COMMENT("new, configured, created, active or dead"),
                SD_VARLINK_DEFINE_FIELD(state, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("The kernel's number of the realm, 0 until it is made"),
                SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(ipaBits, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(vcpus, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("4 KiB pages"),
                SD_VARLINK_DEFINE_FIELD(donatedPages, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(sharedPages, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Realm descriptor, RECs and translation tables"),
                SD_VARLINK_DEFINE_FIELD(tablePages, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(blocks2M, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(exits, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Runtime,
                SD_VARLINK_FIELD_COMMENT("The systemd unit that QEMU runs in"),
                SD_VARLINK_DEFINE_FIELD(unit, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(pid, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("RLIMIT_MEMLOCK of QEMU in bytes, 0 if unknown"),
                SD_VARLINK_DEFINE_FIELD(lockedMemoryLimit, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("What QEMU and its vCPUs have run, 0 if unknown"),
                SD_VARLINK_DEFINE_FIELD(cpuUSec, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(consoleClients, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(macAddress, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(realm, Realm, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Page,
                SD_VARLINK_FIELD_COMMENT("IPA"),
                SD_VARLINK_DEFINE_FIELD(address, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Which segment of the payload it is in, from 1 on, and its offset there in bytes; missing if kcoresd was restarted during the launch"),
                SD_VARLINK_DEFINE_FIELD(segment, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("kernel, initrd or device tree"),
                SD_VARLINK_DEFINE_FIELD(kind, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(offset, SD_VARLINK_INT, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Core,
                SD_VARLINK_FIELD_COMMENT("Major and minor, as \"1.0\""),
                SD_VARLINK_DEFINE_FIELD(version, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Version of the interface of /dev/kcore"),
                SD_VARLINK_DEFINE_FIELD(deviceVersion, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(features, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("4 KiB granules of DRAM that KCore tracks"),
                SD_VARLINK_DEFINE_FIELD(granules, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Of these: not the host's now"),
                SD_VARLINK_DEFINE_FIELD(delegatedGranules, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(realms, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(listRegisters, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(maximumIpaBits, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Counter,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(value, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_ENUM_TYPE(
                GuestEvent,
                SD_VARLINK_FIELD_COMMENT("It is there as the monitor begins"),
                SD_VARLINK_DEFINE_ENUM_VALUE(present),
                SD_VARLINK_FIELD_COMMENT("Its status is another one, or it is new"),
                SD_VARLINK_DEFINE_ENUM_VALUE(changed),
                SD_VARLINK_FIELD_COMMENT("It is forgotten"),
                SD_VARLINK_DEFINE_ENUM_VALUE(removed));

static SD_VARLINK_DEFINE_ENUM_TYPE(
                CheckStatus,
                SD_VARLINK_DEFINE_ENUM_VALUE(ok),
                SD_VARLINK_DEFINE_ENUM_VALUE(fail),
                SD_VARLINK_FIELD_COMMENT("Nothing can be said, because a check above failed"),
                SD_VARLINK_DEFINE_ENUM_VALUE(skip));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Failures,
                SD_VARLINK_FIELD_COMMENT("Word for a class: request, check, system, qemu, memory, timeout, kernel, policy, signature, seal, measurement"),
                SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(launches, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Check,
                SD_VARLINK_DEFINE_FIELD(check, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(title, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("In the tree of checks"),
                SD_VARLINK_DEFINE_FIELD(depth, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(status, CheckStatus, 0),
                SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(fix, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD_FULL(
                Launch,
                SD_VARLINK_SUPPORTS_MORE,
                SD_VARLINK_DEFINE_INPUT_BY_TYPE(guest, Guest, 0),
                SD_VARLINK_FIELD_COMMENT("Index of a passed descriptor: a sealed memfd with an image, a file *.kci"),
                SD_VARLINK_DEFINE_INPUT(imageFileDescriptor, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Without an image: the same, with an arm64 Image"),
                SD_VARLINK_DEFINE_INPUT(kernelFileDescriptor, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("The same, with an initrd"),
                SD_VARLINK_DEFINE_INPUT(initrdFileDescriptor, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("One for each disk"),
                SD_VARLINK_DEFINE_INPUT(diskFileDescriptors, SD_VARLINK_INT, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("/dev/net/tun, attached to a tap interface"),
                SD_VARLINK_DEFINE_INPUT(tapFileDescriptor, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Progress, in answers before the last"),
                SD_VARLINK_DEFINE_OUTPUT(stage, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("The guest, in the last answer: running, or exited if it has powered off already"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(guest, GuestState, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD(
                List,
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(guests, GuestState, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
                Describe,
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(guest, GuestState, 0),
                SD_VARLINK_FIELD_COMMENT("While it is alive"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(runtime, Runtime, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD(
                Console,
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Index of the returned descriptor: a stream socket. It begins with the last output."),
                SD_VARLINK_DEFINE_OUTPUT(consoleFileDescriptor, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(
                ConsoleLog,
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Index of the returned descriptor: a file, open for reading"),
                SD_VARLINK_DEFINE_OUTPUT(logFileDescriptor, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(
                AgentPort,
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Index of the returned descriptor: a stream socket; docs/attest-agent.md says what to speak"),
                SD_VARLINK_DEFINE_OUTPUT(agentFileDescriptor, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(
                Stop,
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("End it at once. Otherwise its power button and power key are pressed; if that does not help, magic SysRq S, U and O."),
                SD_VARLINK_DEFINE_INPUT(force, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("How long to wait for the guest before it is ended; 60 s if not given"),
                SD_VARLINK_DEFINE_INPUT(timeoutUSec, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("True if it did not power off by itself"),
                SD_VARLINK_DEFINE_OUTPUT(forced, SD_VARLINK_BOOL, 0));

static SD_VARLINK_DEFINE_METHOD(
                Status,
                SD_VARLINK_DEFINE_OUTPUT(version, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Missing if there is no KCore"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(core, Core, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("What the core let the host see, by channel, and its bookkeeping"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(counters, Counter, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Guests that are alive"),
                SD_VARLINK_DEFINE_OUTPUT(guests, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Launches that were asked for since the daemon started"),
                SD_VARLINK_DEFINE_OUTPUT(launches, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(failures, Failures, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD_FULL(
                Monitor,
                SD_VARLINK_REQUIRES_MORE,
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(event, GuestEvent, 0),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(guest, GuestState, 0));

static SD_VARLINK_DEFINE_METHOD(
                Doctor,
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(checks, Check, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
                Platform,
                SD_VARLINK_FIELD_COMMENT("Base64 of the CBOR document that KCore gives: certificates and public keys"),
                SD_VARLINK_DEFINE_OUTPUT(identity, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_METHOD(
                Log,
                SD_VARLINK_FIELD_COMMENT("0, or nextSequence of the call before"),
                SD_VARLINK_DEFINE_INPUT(sequence, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Text lines; empty if there is nothing new"),
                SD_VARLINK_DEFINE_OUTPUT(text, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_OUTPUT(nextSequence, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Bytes that were overwritten before they could be read"),
                SD_VARLINK_DEFINE_OUTPUT(lost, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(
                ArmDomain,
                SD_VARLINK_FIELD_COMMENT("As libvirt has it"),
                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_INPUT(uuid, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Of the domain, in bytes; the image must say the same"),
                SD_VARLINK_DEFINE_INPUT(memory, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_INPUT(vcpus, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Where the image was read from; shown to people, not used"),
                SD_VARLINK_DEFINE_INPUT(image, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Index of a passed descriptor: a sealed memfd with an image, a file *.kci"),
                SD_VARLINK_DEFINE_INPUT(imageFileDescriptor, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(
                DisarmDomain,
                SD_VARLINK_DEFINE_INPUT(uuid, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_ERROR(NoSuchGuest, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(GuestExists, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(
                GuestNotRunning,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(status, GuestStatus, 0),
                SD_VARLINK_FIELD_COMMENT("Why it ended, for people"),
                SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));
static SD_VARLINK_DEFINE_ERROR(TooManyGuests, SD_VARLINK_DEFINE_FIELD(limit, SD_VARLINK_INT, 0));
static SD_VARLINK_DEFINE_ERROR(
                InvalidGuest,
                SD_VARLINK_DEFINE_FIELD(field, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(
                CheckFailed,
                SD_VARLINK_DEFINE_FIELD(check, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(title, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(fix, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(
                LaunchFailed,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("If one page of the payload is the reason, for example a sealed one that was altered"),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(page, Page, SD_VARLINK_NULLABLE));
static SD_VARLINK_DEFINE_ERROR(Busy, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(ManagedByLibvirt, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NoCore, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
                io_kcore_Manager,
                MANAGER_INTERFACE_NAME,
                SD_VARLINK_INTERFACE_COMMENT(
                                "Launches and manages guests of KCore (realms). Only root and members of the group "
                                "kcore are answered. Descriptors are passed along with a message and named by index; "
                                "the client opens all files, so that its rights count, not the daemon's."),
                SD_VARLINK_SYMBOL_COMMENT("What a guest is"),
                &vl_type_Guest,
                &vl_type_Network,
                &vl_type_Disk,
                &vl_type_Forward,
                SD_VARLINK_SYMBOL_COMMENT("How a guest is"),
                &vl_type_GuestState,
                &vl_type_GuestStatus,
                SD_VARLINK_SYMBOL_COMMENT("What Monitor tells of"),
                &vl_type_GuestEvent,
                &vl_type_Runtime,
                SD_VARLINK_SYMBOL_COMMENT("What the kernel tells about its realm"),
                &vl_type_Realm,
                SD_VARLINK_SYMBOL_COMMENT("A page of what is loaded into a realm"),
                &vl_type_Page,
                &vl_type_Core,
                &vl_type_Counter,
                SD_VARLINK_SYMBOL_COMMENT("Launches that did not come to a running guest, since the daemon started"),
                &vl_type_Failures,
                &vl_type_Check,
                &vl_type_CheckStatus,
                SD_VARLINK_SYMBOL_COMMENT("Launches a guest; answers when the realm runs, or has run and ended"),
                &vl_method_Launch,
                SD_VARLINK_SYMBOL_COMMENT("All guests, those that ended included until they are stopped or launched again"),
                &vl_method_List,
                &vl_method_Describe,
                SD_VARLINK_SYMBOL_COMMENT("Attaches to the serial console; several clients may"),
                &vl_method_Console,
                SD_VARLINK_SYMBOL_COMMENT("What the guest wrote to its console, the last 256 KiB at least"),
                &vl_method_ConsoleLog,
                SD_VARLINK_SYMBOL_COMMENT("Connects to the port of the guest's agent, which gives attestation tokens. One client at a time; the next one waits."),
                &vl_method_AgentPort,
                SD_VARLINK_SYMBOL_COMMENT("Ends a guest and forgets it; answers when it is gone"),
                &vl_method_Stop,
                &vl_method_Status,
                SD_VARLINK_SYMBOL_COMMENT("Tells of all guests, then of each change, until the client closes the connection"),
                &vl_method_Monitor,
                SD_VARLINK_SYMBOL_COMMENT("Checks whether this machine can run realms; a launch makes the same checks"),
                &vl_method_Doctor,
                SD_VARLINK_SYMBOL_COMMENT("The identity document of this machine's KCore, for tenants: images are sealed to it, tokens verified under it"),
                &vl_method_Platform,
                SD_VARLINK_SYMBOL_COMMENT("The next piece of KCore's own log"),
                &vl_method_Log,
                SD_VARLINK_SYMBOL_COMMENT("Arms a launch for a domain of libvirt: QEMU gets it by Claim of io.kcore.Launch, in 2 minutes or not at all. Takes the place of an earlier one that was not claimed or has ended."),
                &vl_method_ArmDomain,
                SD_VARLINK_SYMBOL_COMMENT("Libvirt is done with a domain: what was armed for it is dropped, and its record if it has ended"),
                &vl_method_DisarmDomain,
                &vl_error_NoSuchGuest,
                &vl_error_GuestExists,
                SD_VARLINK_SYMBOL_COMMENT("The guest is not alive, or not far enough for this"),
                &vl_error_GuestNotRunning,
                &vl_error_TooManyGuests,
                SD_VARLINK_SYMBOL_COMMENT("A field of the guest, or a descriptor, can not be used"),
                &vl_error_InvalidGuest,
                SD_VARLINK_SYMBOL_COMMENT("The machine can not run realms; one of Doctor's checks says why"),
                &vl_error_CheckFailed,
                &vl_error_LaunchFailed,
                SD_VARLINK_SYMBOL_COMMENT("Too many clients wait for this guest"),
                &vl_error_Busy,
                SD_VARLINK_SYMBOL_COMMENT("The guest is a domain of libvirt: use virsh"),
                &vl_error_ManagedByLibvirt,
                SD_VARLINK_SYMBOL_COMMENT("KCore can not be asked"),
                &vl_error_NoCore);

const char *kcore_counter_name(uint32_t index) {
        static const char *const names[] = {
                "exitMmio", "exitFault", "exitSysreg", "exitWfx", "exitIrq", "exitPsci", "exitRipas",
                "exitHostCall", "exitOther", "hostAborts", "recEnters", "delegatedGranules", "realms",
        };

        return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}
