/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

#include <inttypes.h>
#include <stdarg.h>

#include "layout.h"
#include "qemu-cmdline.h"

/* kcore_sys_info.core_features: KCORE_VERSION_DMA of hyp/include/kcore.h */
#define CORE_FEATURE_DMA (1ULL << 0)

struct verdict {
        bool ok, skip;
        char *message;
};

static int say(struct verdict *v, bool ok, const char *format, ...) _printf_(3, 4);
static int say(struct verdict *v, bool ok, const char *format, ...) {
        va_list ap;
        int n;

        v->ok = ok;
        va_start(ap, format);
        n = vasprintf(&v->message, format, ap);
        va_end(ap);
        if (n < 0) {
                v->message = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Is this an Arm machine at all? */
static int check_machine(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (!streq(f->machine, "aarch64"))
                return say(v, false, "this machine is %s, not a 64-bit Arm machine", f->machine);
        return say(v, true, "%s", f->machine);
}

/* Does the kernel have the KCore patches? */
static int check_kernel(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->device_error != -ENOENT || f->kernel_support > 0)
                return say(v, true, "Linux %s has KCore support", f->release);
        if (f->kernel_support == 0)
                return say(v, false, "Linux %s is built without KCore support", f->release);
        return say(v, false, "Linux %s offers no " KCORE_DEVICE ", and its configuration can not be read", f->release);
}

/* Did KCore start first, at EL2? */
static int check_core(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->device_error == -ENOENT && f->kvm_present)
                return say(v, false, "KCore does not answer: Linux was started without it and owns EL2 itself");
        if (f->device_error == -ENOENT || f->device_error == -ENXIO || f->device_error == -ENODEV)
                return say(v, false, "KCore does not answer, and Linux has no access to EL2 either");
        return say(v, true, "KCore runs at EL2");
}

/* Can we talk to it? */
static int check_device(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        char version[16];

        if (f->device_error == -EACCES || f->device_error == -EPERM)
                return say(v, false, KCORE_DEVICE " can not be opened: permission denied");
        if (f->device_error < 0)
                return say(v, false, KCORE_DEVICE " can not be opened: %s", strerror(-f->device_error));
        if (f->info_error < 0)
                return say(v, false, KCORE_DEVICE " does not tell about the core: %s", strerror(-f->info_error));
        if (f->info.api_version != KCORE_API_VERSION)
                return say(v, false, KCORE_DEVICE " speaks version %u of its interface, this program version %u",
                           f->info.api_version, (unsigned) KCORE_API_VERSION);
        return say(v, true, "core version %s, interface version %u",
                   format_core_version(version, f->info.core_version), f->info.api_version);
}

/* Are the devices confined by an SMMU? Without one the core refuses to make realms. */
static int check_dma(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (!(f->info.core_features & CORE_FEATURE_DMA))
                return say(v, false, "KCore found no SMMU that it can use: devices could read guests, so it makes none");
        return say(v, true, "an SMMU confines the devices");
}

/* QEMU probes CPU features with an ordinary VM: without /dev/kvm it does not start. */
static int check_kvm(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (!f->kvm_present)
                return say(v, false, "/dev/kvm is missing: QEMU can not probe the CPU");
        return say(v, true, "/dev/kvm is there");
}

/* Is there that much memory to give away? */
static int check_memory(const struct platform_facts *f, const struct platform_needs *n, struct verdict *v) {
        char a[32], b[32];

        if (f->memory_available == UINT64_MAX)
                return say(v, true, "free memory is unknown");
        if (f->memory_available < n->memory)
                return say(v, false, "too little free memory: a guest of %s needs that much, %s are available",
                           format_size(a, n->memory), format_size(b, f->memory_available));
        return say(v, true, "%s are available", format_size(b, f->memory_available));
}

/* May the guest's unit lock its memory? */
static int check_memlock(const struct platform_facts *f, const struct platform_needs *n, struct verdict *v) {
        uint64_t need = guest_locked_memory(n->memory, n->vcpus);
        char a[32], b[32];

        if (f->limits_free || f->memlock_max == UINT64_MAX)
                return say(v, true, "guests may lock as much as they need");
        if (f->memlock_max < need)
                return say(v, false,
                           "too little memory may be locked: the guest needs a limit of %s, %s are allowed",
                           format_size(a, need), format_size(b, f->memlock_max));
        return say(v, true, "%s may be locked", format_size(b, f->memlock_max));
}

/* QEMU's memory is sparse: it spans twice the realm's address space and is never filled. */
static int check_overcommit(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->overcommit == 2)
                return say(v, false, "vm.overcommit_memory is 2: QEMU can not reserve a realm's sparse address space");
        return say(v, true, "sparse memory can be reserved");
}

static int check_qemu(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->qemu_error == -ENOENT)
                return say(v, false, QEMU_BINARY " is not installed");
        if (f->qemu_error < 0)
                return say(v, false, QEMU_BINARY " does not run: %s", strerror(-f->qemu_error));
        if (f->qemu_version < QEMU_VERSION_MIN)
                return say(v, false, "QEMU %s is too old: version %d.%d or newer is needed", f->qemu_version_string,
                           QEMU_VERSION_MIN / 10000, QEMU_VERSION_MIN / 100 % 100);
        return say(v, true, "QEMU %s", f->qemu_version_string);
}

static int check_systemd(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (!f->systemd_running)
                return say(v, false, "systemd is not the service manager here");
        return say(v, true, "systemd is the service manager");
}

/* Somebody who launches guests with kcorectl needs neither libvirt nor the package for it. */
static int check_libvirt(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        const struct libvirt_facts *l = &f->libvirt;

        v->skip = true;
        if (l->daemon < 0)
                return say(v, false, "libvirt is not installed");
        if (l->emulator == -ENOENT && l->hook == -ENOENT)
                return say(v, false, "kcore-libvirt is not installed, all domains are ordinary ones");
        v->skip = false;
        return say(v, true, "libvirt and kcore-libvirt are installed");
}

static int check_emulator(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->libvirt.emulator < 0)
                return say(v, false, LIBVIRT_EMULATOR " can not be run: %s", strerror(-f->libvirt.emulator));
        return say(v, true, LIBVIRT_EMULATOR);
}

static int check_hook(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (f->libvirt.hook < 0)
                return say(v, false, LIBVIRT_HOOK " can not be run: %s", strerror(-f->libvirt.hook));
        if (f->libvirt.hook_program < 0)
                return say(v, false, LIBVIRT_HOOK_PROGRAM " can not be run: %s", strerror(-f->libvirt.hook_program));
        return say(v, true, LIBVIRT_HOOK);
}

/* Without AppArmor domains are told by their scopes. */
static int check_apparmor(const struct platform_facts *f, const struct platform_needs *n _unused_, struct verdict *v) {
        if (!f->libvirt.apparmor)
                return say(v, true, "AppArmor is off");
        if (f->libvirt.apparmor_rules < 0)
                return say(v, false, "AppArmor forbids domains to run " LIBVIRT_EMULATOR ": " LIBVIRT_APPARMOR_RULES ": %s",
                           strerror(-f->libvirt.apparmor_rules));
        return say(v, true, "AppArmor lets domains run " LIBVIRT_EMULATOR);
}

struct check {
        const char *id, *parent, *title, *fix;
        int (*run)(const struct platform_facts *f, const struct platform_needs *n, struct verdict *v);
};

static const struct check table[] = {
        { "machine", NULL, "64-bit Arm machine",
          "Use an Armv8 server with EL2, GICv3 and SMMUv3.", check_machine },
        { "kernel", "machine", "kernel with KCore support",
          "Install the KServ kernel package and boot it.", check_kernel },
        { "core", "kernel", "KCore at EL2",
          "Boot kcore.bin with the kernel as its boot module, on firmware that starts it at EL2.", check_core },
        { "device", "core", "access to " KCORE_DEVICE,
          "Run as root; if versions differ, install kernel and userland of the same release.", check_device },
        { "dma", "device", "DMA protection",
          "Use a machine whose firmware describes one SMMUv3 with stage 2 (QEMU: -M virt,iommu=smmuv3); KCore's log "
          "says what was wrong with it.", check_dma },
        { "kvm", "core", "/dev/kvm for QEMU's probing",
          "Boot a KServ kernel with CONFIG_KVM, and without kvm-arm.mode=none.", check_kvm },
        { "memory", "core", "free memory",
          "Stop other guests or programs, or give the guest less memory.", check_memory },
        { "qemu", NULL, "QEMU 8.2 or newer",
          "Install the package qemu-system-arm of Debian 13 or newer.", check_qemu },
        { "overcommit", NULL, "sparse memory",
          "Set vm.overcommit_memory to 0 or 1 (sysctl vm.overcommit_memory=0).", check_overcommit },
        { "systemd", NULL, "systemd",
          "Boot with systemd as PID 1: each guest is a unit of it.", check_systemd },
        { "memlock", "systemd", "locked memory",
          "Raise the limit: remove LimitMEMLOCK= from drop-ins of kcore-guest-.service.d, and give a container "
          "CAP_SYS_RESOURCE.", check_memlock },
};

#define REINSTALL "Install kcore-libvirt anew: apt install --reinstall kcore-libvirt"

static const struct check libvirt_table[] = {
        { "libvirt", NULL, "domains of libvirt", "", check_libvirt },
        { "emulator", "libvirt", "emulator of protected domains", REINSTALL, check_emulator },
        { "hook", "libvirt", "hook that arms their launches",
          REINSTALL ", then systemctl reload libvirtd.", check_hook },
        { "apparmor", "libvirt", "AppArmor rules of domains", REINSTALL, check_apparmor },
};

const char *check_status_to_string(CheckStatus s) {
        return s == CHECK_OK ? "ok" : s == CHECK_FAIL ? "fail" : "skip";
}

CheckStatus check_status_from_string(const char *s) {
        return s && streq(s, "ok") ? CHECK_OK : s && streq(s, "skip") ? CHECK_SKIP : CHECK_FAIL;
}

void check_report_done(struct check_report *r) {
        for (size_t i = 0; i < r->n; i++)
                free(r->results[i].message);
        r->n = 0;
}

static int run_all(const struct check *checks, size_t n, const struct platform_facts *facts, const struct platform_needs *needs,
                   struct check_report *ret) {
        struct check_report report = {};

        for (size_t i = 0; i < n; i++) {
                struct check_result *c = &report.results[report.n++];
                const struct check_result *parent = NULL;
                struct verdict v = {};
                int r;

                *c = (struct check_result) { .id = checks[i].id, .title = checks[i].title, .fix = checks[i].fix };
                for (size_t j = 0; checks[i].parent && j < i; j++)
                        if (streq(checks[i].parent, report.results[j].id))
                                parent = &report.results[j];
                if (parent) {
                        c->depth = parent->depth + 1;
                        if (parent->status != CHECK_OK) {
                                c->status = CHECK_SKIP;
                                continue;
                        }
                }

                r = checks[i].run(facts, needs, &v);
                if (r < 0) {
                        check_report_done(&report);
                        return r;
                }
                c->status = v.skip ? CHECK_SKIP : v.ok ? CHECK_OK : CHECK_FAIL;
                c->message = v.message;
        }
        *ret = report;
        return 0;
}

int checks_run(const struct platform_facts *facts, const struct platform_needs *needs, struct check_report *ret) {
        return run_all(table, ELEMENTSOF(table), facts, needs, ret);
}

int checks_run_libvirt(const struct platform_facts *facts, struct check_report *ret) {
        static const struct platform_needs none = {};

        return run_all(libvirt_table, ELEMENTSOF(libvirt_table), facts, &none, ret);
}

const struct check_result *check_report_first_failure(const struct check_report *r) {
        for (size_t i = 0; i < r->n; i++)
                if (r->results[i].status == CHECK_FAIL)
                        return &r->results[i];
        return NULL;
}

int check_report_to_json(const struct check_report *r, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;

        for (size_t i = 0; i < r->n; i++) {
                const struct check_result *c = &r->results[i];
                int k;

                k = sd_json_variant_append_arraybo(
                                &array,
                                SD_JSON_BUILD_PAIR_STRING("check", c->id),
                                SD_JSON_BUILD_PAIR_STRING("title", c->title),
                                SD_JSON_BUILD_PAIR_INTEGER("depth", c->depth),
                                SD_JSON_BUILD_PAIR_STRING("status", check_status_to_string(c->status)),
                                SD_JSON_BUILD_PAIR_CONDITION(!!c->message, "message", SD_JSON_BUILD_STRING(c->message)),
                                SD_JSON_BUILD_PAIR_CONDITION(c->status == CHECK_FAIL, "fix", SD_JSON_BUILD_STRING(c->fix)));
                if (k < 0)
                        return k;
        }
        *ret = TAKE_PTR(array);
        return 0;
}

char *format_core_version(char buf[static 16], uint32_t version) {
        snprintf(buf, 16, "%" PRIu32 ".%" PRIu32, version >> 16, version & 0xffff);
        return buf;
}
