#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a hostile host, device and guest must not get, and which tests try it: the tables of README.md.

    claims.py [--write]     print the tables, or put them into README.md

test_claims.py holds them against the attacks and the weakened cores that there are."""

import itertools
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "emu")]
import attacks  # noqa: E402

# What is tried -> attacks of attacks/; "vmm:NAME": attempts of test_vmm.py.
TRIED = {
    "host user space reads, writes and executes realm memory through a mapping":
        "user_space_reads_realm_memory user_space_writes_realm_memory user_space_executes_realm_memory "
        "vmm:own-read vmm:own-write vmm:own-exec vmm:kernel-copy",
    "the same through /proc/PID/mem, process_vm_readv, ptrace, a core dump, /dev/mem":
        "vmm:proc-mem-read vmm:proc-mem-write vmm:process-vm-readv vmm:process-vm-writev vmm:ptrace-read "
        "vmm:ptrace-write vmm:core-dump dev_mem_reads_realm_memory",
    "the host kernel reads, writes and executes it":
        "kernel_reads_realm_memory kernel_writes_realm_memory kernel_executes_realm_memory "
        "kernel_reads_translation_table_of_realm",
    "the host reads and writes the core":
        "host_reads_core_memory host_writes_core_memory",
    "the host maps a page twice":
        "page_mapped_twice_in_one_realm realm_page_shared_with_its_own_realm",
    "into two realms":
        "page_mapped_into_two_realms page_mapped_into_second_realm_as_shared realm_page_inside_a_shared_block "
        "two_realms_take_the_same_page two_realms_share_a_vmid realm_page_is_source_of_another_realms_data",
    "into a realm and itself":
        "host_page_mapped_where_realm_expects_its_own shared_page_is_donated sharing_races_with_donation",
    "undelegates a live page, or gets one back with something in it":
        "live_page_is_undelegated destroyed_realm_leaves_data_behind",
    "passes addresses of the core, unaligned ones, ones that are not DRAM, to every command":
        "wild_addresses_to_every_command core_mapped_into_realm_as_shared exit_is_written_into_realm_memory "
        "log_is_written_into_realm_memory",
    "wild levels and IPAs":
        "wild_levels_and_ipas",
    "reads and writes registers of a vCPU, through KVM and past it":
        "vmm:registers host_finds_registers_in_the_run_page host_sets_registers_at_entry "
        "host_gives_list_registers_it_must_not",
    "treats protected RAM as MMIO":
        "realm_memory_is_passed_off_as_a_device",
    "a PCI device reads and writes realm memory and the core by DMA":
        "device_reads_realm_memory device_writes_realm_memory device_reads_core_memory device_writes_core_memory "
        "device_uses_a_translation_from_before",
    "the host turns off or reprograms the SMMU":
        "host_reads_smmu_registers host_turns_smmu_off host_moves_smmu_stream_table",
    "another bus master writes realm memory and the core: fw_cfg, ITS, LPI tables, virtio-mmio":
        "fw_cfg_dma_writes_realm_memory fw_cfg_dma_writes_core_memory its_writes_realm_memory its_writes_core_memory "
        "lpi_tables_in_realm_memory lpi_tables_in_core_memory virtio_mmio_writes_realm_memory "
        "virtio_mmio_writes_core_memory",
    "a CPU brought up late bypasses something":
        "late_cpu_reads_realm_memory late_cpu_reads_core_memory",
    "a guest calls every RSI and PSCI function with wild arguments, and floods":
        "guest_runs_wild guest_names_memory_that_is_not_its_own guest_calls_what_is_the_hosts",
    "two CPUs race the same commands":
        "two_cpus_take_the_same_page two_cpus_build_and_fold_the_same_tables two_cpus_enter_the_same_rec "
        "rec_is_destroyed_while_it_runs realm_is_destroyed_while_it_runs",
}

# Bad input, and a machine that lacks something -> tests, as FILE::NAME; FILE alone: all of it.
BAD_INPUT = {
    "a guest: any RSI, PSCI or other call, any access":
        "hyp/tests/fuzz.c hyp/tests/test_rsi.c hyp/tests/test_psci.c hyp/tests/test_exit.c "
        "tests/attack/test_launched.py::test_wild_guest",
    "the host: any RMI call":
        "hyp/tests/fuzz.c hyp/tests/test_rmi.c tests/attack/test_attacks.py::test_refused",
    "the host at boot: modules and device trees that are not right":
        "tests/emu/test_smoke.py::test_what_it_can_not_boot_it_names",
    "a VMM: /dev/kcore and KVM in the wrong order, with wrong arguments":
        "tests/emu/test_realm.py::test_scenario",
    "a client of kcoresd: no JSON, wrong JSON, wrong descriptors, too much of anything":
        "kcoresd/tests/test-manager-input.c::test_not_json kcoresd/tests/test-manager-input.c::test_wrong_parameters "
        "kcoresd/tests/test-manager-input.c::test_bad_descriptors kcoresd/tests/test-manager-input.c::test_oversized_message "
        "kcoresd/tests/test-manager-input.c::test_payload_too_big",
    "QEMU that talks nonsense, or ends":
        "kcoresd/tests/test-manager.c::test_nonsense_qemu kcoresd/tests/test-manager.c::test_qemu_fails",
    "a command line":
        "kcorectl/tests/test-cli.py::test_usage_errors kcorectl/tests/test-cli.py::test_bad_files "
        "kcorectl/tests/test-cli.py::test_bad_values libkcore/tests/test-config.c::test_validation",
    "no EL2 or no KCore, a kernel without the patches, a QEMU too old, too little locked memory, no SMMU: doctor":
        "libkcore/tests/test-checks.c::test_each_failure",
    "the same: launch, in the same words":
        "kcorectl/tests/test-cli.py::test_launch_and_doctor_have_the_same_words "
        "kcoresd/tests/test-manager.c::test_check_fails kcoresd/tests/test-manager.c::test_memlock_lowered",
    "no SMMU: the core itself":
        "tests/emu/test_smoke.py::test_without_an_smmu_realms_are_refused",
}


def weakness(test):
    """The weakened core against which a test of TRIED succeeds."""
    if test.startswith("vmm:"):
        return attacks.VMM_ATTEMPTS[test[4:]][1]
    return next(a.weak for a in attacks.ATTACKS if a.name == test)


def tables():
    lines = ["| what is tried | test, and `weak/` patch that lets it through |", "|---|---|"]
    for what, tests in TRIED.items():
        groups = itertools.groupby(sorted(tests.split(), key=weakness), key=weakness)
        lines.append(f"| {what} | " + "; ".join(
            ", ".join(f"`{test}`" for test in sorted(same)) + f": **{weak}**" for weak, same in groups) + " |")
    lines += ["", "| bad input | tests |", "|---|---|"]
    lines += [f"| {what} | {', '.join(f'`{test}`' for test in tests.split())} |" for what, tests in BAD_INPUT.items()]
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- claims.py -->\n", "<!-- end -->\n"


def readme():
    """README.md, and README.md as it should be."""
    text = (HERE / "README.md").read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return text, before + BEGIN + tables() + END + after


def defined():
    """Of the files that BAD_INPUT names: FILE if it exists, and FILE::NAME for each test function in it."""
    found, root = set(), HERE.parent.parent
    for test in " ".join(BAD_INPUT.values()).split():
        file = test.partition("::")[0]
        if (root / file).exists():
            found.add(file)
            found |= {f"{file}::{name}" for name in re.findall(r"^ *(?:def|static void) (test_\w+)", (root / file).read_text(), re.M)}
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (HERE / "README.md").write_text(readme()[1])
    else:
        print(tables(), end="")
