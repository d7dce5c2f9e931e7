/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Varlink interface io.kcore.Manager, shared by daemon and command line. Its text, with comments, is
 * docs/io.kcore.Manager.varlink. */

#include <systemd/sd-varlink-idl.h>

#define MANAGER_INTERFACE_NAME "io.kcore.Manager"

#define METHOD_LAUNCH MANAGER_INTERFACE_NAME ".Launch"
#define METHOD_LIST MANAGER_INTERFACE_NAME ".List"
#define METHOD_DESCRIBE MANAGER_INTERFACE_NAME ".Describe"
#define METHOD_CONSOLE MANAGER_INTERFACE_NAME ".Console"
#define METHOD_CONSOLE_LOG MANAGER_INTERFACE_NAME ".ConsoleLog"
#define METHOD_AGENT_PORT MANAGER_INTERFACE_NAME ".AgentPort"
#define METHOD_STOP MANAGER_INTERFACE_NAME ".Stop"
#define METHOD_STATUS MANAGER_INTERFACE_NAME ".Status"
#define METHOD_MONITOR MANAGER_INTERFACE_NAME ".Monitor"
#define METHOD_PLATFORM MANAGER_INTERFACE_NAME ".Platform"
#define METHOD_DOCTOR MANAGER_INTERFACE_NAME ".Doctor"
#define METHOD_ARM_DOMAIN MANAGER_INTERFACE_NAME ".ArmDomain"
#define METHOD_DISARM_DOMAIN MANAGER_INTERFACE_NAME ".DisarmDomain"
#define METHOD_LOG MANAGER_INTERFACE_NAME ".Log"

#define ERROR_NO_SUCH_GUEST MANAGER_INTERFACE_NAME ".NoSuchGuest"
#define ERROR_GUEST_EXISTS MANAGER_INTERFACE_NAME ".GuestExists"
#define ERROR_GUEST_NOT_RUNNING MANAGER_INTERFACE_NAME ".GuestNotRunning"
#define ERROR_TOO_MANY_GUESTS MANAGER_INTERFACE_NAME ".TooManyGuests"
#define ERROR_INVALID_GUEST MANAGER_INTERFACE_NAME ".InvalidGuest"
#define ERROR_CHECK_FAILED MANAGER_INTERFACE_NAME ".CheckFailed"
#define ERROR_LAUNCH_FAILED MANAGER_INTERFACE_NAME ".LaunchFailed"
#define ERROR_BUSY MANAGER_INTERFACE_NAME ".Busy"
#define ERROR_MANAGED_BY_LIBVIRT MANAGER_INTERFACE_NAME ".ManagedByLibvirt"
#define ERROR_NO_CORE MANAGER_INTERFACE_NAME ".NoCore"

/* Names of the core's counters, in the order of KCORE_COUNTER_READ (docs/abi.md). */
const char *kcore_counter_name(uint32_t index);

extern const sd_varlink_interface vl_interface_io_kcore_Manager;
