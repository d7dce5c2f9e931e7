/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu-argv.h"

#include <inttypes.h>
#include <systemd/sd-json.h>

#include "../libkcore/agent-port.h"
#include "../libkcore/qemu-cmdline.h"
#include "refuse.h"

/* "-uuid" or "--uuid" to "uuid"; NULL if it is no option. */
static const char *option_name(const char *word) {
        if (word[0] != '-' || !word[1])
                return NULL;
        return word + (word[1] == '-' ? 2 : 1);
}

/* Is item ("name=value", or the first word alone) in a comma-separated list? Ends it at the "=" if that ends it. */
static bool list_has(const char *list, const char *item) {
        size_t n = strlen(item);

        for (const char *p = list; p; p = strchr(p, ','), p += p != NULL)
                if (strncmp(p, item, n) == 0 && (item[n - 1] == '=' || p[n] == ',' || p[n] == 0))
                        return true;
        return false;
}

/* What these say is the image's to say, or would bring state from outside into the realm. */
static const struct {
        const char *option, *why;
} refused[] = {
        { "kernel",   "the image has its own kernel: remove <kernel> from <os>" },
        { "initrd",   "the image has its own initrd: remove <initrd> from <os>" },
        { "append",   "the image has its own command line: remove <cmdline> from <os>" },
        { "dtb",      "the image has its own device tree: remove <dtb> from <os>" },
        { "bios",     "a realm has no firmware: remove <loader> from <os>" },
        { "pflash",   "a realm has no firmware: remove <loader> and <nvram> from <os>" },
        { "numa",     "the image's device tree has no NUMA nodes: remove <numa> from <cpu>" },
        { "incoming", "a realm can not be restored or migrated" },
        { "loadvm",   "a realm can not be restored" },
        { "readconfig", "its configuration would not be looked at" },
        { "gdb",      "a realm can not be debugged from outside" },
        { "s",        "a realm can not be debugged from outside" },
};

bool qemu_argv_is_probe(char *const *argv) {
        bool none = false;

        for (size_t i = 1; argv[i]; i++) {
                const char *name = option_name(argv[i]);

                if (!name)
                        continue;
                if (streq(name, "version") || streq(name, "help") || streq(name, "h"))
                        return !argv[2];
                if (streq(name, "uuid"))
                        return false;
                if ((streq(name, "machine") || streq(name, "M")) && argv[i + 1])
                        none = streq(argv[i + 1], "none") || strncmp(argv[i + 1], "none,", 5) == 0;
        }
        return none;
}

int qemu_argv_uuid(char *const *argv, sd_id128_t *ret, char **ret_error) {
        const char *uuid = NULL;

        for (size_t i = 1; argv[i]; i++) {
                const char *name = option_name(argv[i]);

                if (!name || !streq(name, "uuid"))
                        continue;
                if (uuid || !argv[i + 1])
                        return refuse(ret_error, "there must be one -uuid");
                uuid = argv[++i];
        }
        if (!uuid)
                return refuse(ret_error, "there is no -uuid: kcore-qemu is for domains of libvirt, for others there is kcorectl launch");
        if (sd_id128_from_string(uuid, ret) < 0 || sd_id128_is_null(*ret))
                return refuse(ret_error, "-uuid %s is not a UUID", uuid);
        return 0;
}

/* --- the options that change --- */

struct rewrite {
        const struct qemu_launch *launch;
        char **argv;
        const char *ram; /* id of the memory backend */
        bool accel, machine, memory, smp, backend;
        char **error;
};

static int once(struct rewrite *w, bool *seen, const char *option) {
        if (*seen)
                return refuse(w->error, "-%s is there twice", option);
        *seen = true;
        return 0;
}

/* The name of the memory backend in the value of -machine, which is looked for before anything is rewritten. */
static int find_backend(char *const *argv, struct rewrite *w, char **ret) {
        for (size_t i = 1; argv[i]; i++) {
                const char *name = option_name(argv[i]), *p;

                if (!name || !(streq(name, "machine") || streq(name, "M")) || !argv[i + 1])
                        continue;
                p = strstr(argv[i + 1], ",memory-backend=");
                if (!p)
                        continue;
                p += strlen(",memory-backend=");
                *ret = strndup(p, strcspn(p, ","));
                return *ret ? 0 : -ENOMEM;
        }
        return refuse(w->error, "-machine names no memory-backend: this libvirt or this machine type is not known");
}

static int rewrite_accel(struct rewrite *w, const char *value) {
        if (!streq(value, "kvm"))
                return refuse(w->error, "-accel %s: the domain must be of type kvm", value);
        return strv_extendf(&w->argv, "kvm,device=/dev/fdset/%d", QEMU_FDSET_KCORE);
}

/* The last of several values counts. */
static int rewrite_machine(struct rewrite *w, const char *value) {
        static const char *const not_these[] = { "accel=", "pflash0=", "pflash1=", "dtb=", "kernel=", "initrd=", "append=", "firmware=", "confidential-guest-support=" };

        if (strncmp(value, "virt", 4) != 0 || (value[4] != ',' && value[4] != '-' && value[4] != 0))
                return refuse(w->error, "the machine must be virt, it is %.*s", (int) strcspn(value, ","), value);
        for (size_t i = 0; i < ELEMENTSOF(not_these); i++)
                if (list_has(value, not_these[i]))
                        return refuse(w->error, "-machine %s is not possible with a realm%s", not_these[i],
                                      strncmp(not_these[i], "pflash", 6) == 0 ? ": remove <loader> and <nvram> from <os>" : "");
        return strv_extendf(&w->argv, "%s,gic-version=3,its=off,highmem-ecam=off,highmem-mmio=off,highmem-redists=off,"
                            "mem-merge=off,dump-guest-core=off", value);
}

static int rewrite_memory(struct rewrite *w, const char *value) {
        if (list_has(value, "maxmem=") || list_has(value, "slots="))
                return refuse(w->error, "a realm's memory can not grow: remove <maxMemory>");
        return strv_extendf(&w->argv, "size=%" PRIu64 "k", (uint64_t) (w->launch->memory / KIB));
}

static int rewrite_smp(struct rewrite *w, const char *value) {
        const char *digits = strncmp(value, "cpus=", 5) == 0 ? value + 5 : value, *max;
        _cleanup_free_ char *number = strndup(digits, strcspn(digits, ","));
        uint64_t n;

        if (!number)
                return -ENOMEM;
        if (parse_unsigned(number, UINT32_MAX, &n) < 0 || n != w->launch->vcpus)
                return refuse(w->error, "-smp %s: the image was made for %" PRIu32 " vCPUs", value, w->launch->vcpus);
        max = strstr(value, ",maxcpus=");
        if (max && strtoull(max + strlen(",maxcpus="), NULL, 10) != n)
                return refuse(w->error, "a realm's vCPUs can not become more: all of <vcpu> must be current");
        return strv_extend(&w->argv, value);
}

/* Of all objects only the RAM changes: as large as QEMU needs it, anonymous, with no copies anywhere. */
static int rewrite_object(struct rewrite *w, const char *value) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        sd_json_variant *id, *type;
        int r;

        if (value[0] != '{') {
                if (strncmp(value, "memory-backend", strlen("memory-backend")) == 0)
                        return refuse(w->error, "-object %s: this libvirt is not known", value);
                return strv_extend(&w->argv, value);
        }
        r = sd_json_parse(value, 0, &v, NULL, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(w->error, "-object %s is not JSON", value);
        id = sd_json_variant_by_key(v, "id");
        type = sd_json_variant_by_key(v, "qom-type");
        if (!id || !sd_json_variant_is_string(id) || !type || !sd_json_variant_is_string(type))
                return refuse(w->error, "-object %s has no id or type", value);
        if (!streq(sd_json_variant_string(id), w->ram)) {
                if (strncmp(sd_json_variant_string(type), "memory-backend", strlen("memory-backend")) == 0)
                        return refuse(w->error, "a realm has one memory: remove <memory> devices and <numa>");
                return strv_extend(&w->argv, value);
        }
        if (!streq(sd_json_variant_string(type), "memory-backend-ram"))
                return refuse(w->error, "a realm's memory must be anonymous: remove <memoryBacking> with its source or huge pages");
        r = once(w, &w->backend, "object (memory)");
        if (r < 0)
                return r;
        sd_json_variant_unref(v);
        v = NULL;
        r = sd_json_buildo(
                        &v, SD_JSON_BUILD_PAIR_STRING("qom-type", "memory-backend-ram"), SD_JSON_BUILD_PAIR_STRING("id", w->ram),
                        SD_JSON_BUILD_PAIR_UNSIGNED("size", w->launch->memory), SD_JSON_BUILD_PAIR_BOOLEAN("reserve", false),
                        SD_JSON_BUILD_PAIR_BOOLEAN("merge", false), SD_JSON_BUILD_PAIR_BOOLEAN("dump", false));
        r = r < 0 ? r : sd_json_variant_format(v, 0, &text);
        return r < 0 ? r : strv_extend(&w->argv, text);
}

/* Devices stay as they are. What libvirt puts them behind can not be: QEMU would say of it only that there is no MSI-X. */
static int rewrite_device(struct rewrite *w, const char *value) {
        static const char *const keys[] = { "", "{\"driver\":\"" };
        static const char *const ports[] = { "pcie-root-port", "pcie-pci-bridge", "pcie-expander-bus", "x3130-upstream" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                for (size_t k = 0; strncmp(value, keys[i], strlen(keys[i])) == 0 && k < ELEMENTSOF(ports); k++)
                        if (strncmp(value + strlen(keys[i]), ports[k], strlen(ports[k])) == 0)
                                return refuse(w->error, "a realm has no PCIe ports (%s): give each device an <address type='pci' bus='0' slot='1' to '28'/>, or let kcorectl define do it", ports[k]);
        return strv_extend(&w->argv, value);
}

static const struct {
        const char *option, *alias;
        int (*rewrite)(struct rewrite *w, const char *value);
        size_t seen; /* offset; 0: may be there several times */
} rewritten[] = {
        { "accel",   "enable-kvm", rewrite_accel,   offsetof(struct rewrite, accel) },
        { "machine", "M",          rewrite_machine, offsetof(struct rewrite, machine) },
        { "m",       NULL,         rewrite_memory,  offsetof(struct rewrite, memory) },
        { "smp",     NULL,         rewrite_smp,     offsetof(struct rewrite, smp) },
        { "object",  NULL,         rewrite_object,  0 },
        { "device",  NULL,         rewrite_device,  0 },
};

/* The descriptor of the launch; devices as a realm must have them, those plugged in later, too; the port of the guest's
 * agent, a keyboard for the power key, and kcoresd's monitor. Their slots are above those that libvirt gives out first. */
static int append(struct rewrite *w) {
        /* Those that are also legacy devices unless told otherwise. */
        static const char *const transitional[] = {
                "virtio-blk-pci", "virtio-net-pci", "virtio-scsi-pci", "virtio-serial-pci", "virtio-rng-pci",
        };
        int r = 0;

        r = r ?: strv_extend(&w->argv, "-add-fd");
        r = r ?: strv_extendf(&w->argv, "fd=%d,set=%d,opaque=/dev/kcore", w->launch->launch_fd, QEMU_FDSET_KCORE);
        r = r ?: strv_extend(&w->argv, "-no-reboot");
        for (size_t i = 0; i < ELEMENTSOF(transitional); i++) {
                r = r ?: strv_extend(&w->argv, "-global");
                r = r ?: strv_extendf(&w->argv, "%s.disable-legacy=on", transitional[i]);
        }
        r = r ?: strv_extend(&w->argv, "-global");
        r = r ?: strv_extend(&w->argv, "virtio-device.iommu_platform=on");
        r = r ?: strv_extend(&w->argv, "-global");
        r = r ?: strv_extend(&w->argv, "virtio-net-pci.romfile=");
        r = r ?: strv_extend(&w->argv, "-chardev");
        r = r ?: strv_extendf(&w->argv, "socket,id=kcore-agent,fd=%d,server=on,wait=off", w->launch->agent_fd);
        r = r ?: strv_extend(&w->argv, "-device");
        r = r ?: strv_extend(&w->argv, "virtio-serial-pci,id=kcore-serial,bus=pcie.0,addr=1d.0");
        r = r ?: strv_extend(&w->argv, "-device");
        r = r ?: strv_extend(&w->argv, "virtserialport,bus=kcore-serial.0,chardev=kcore-agent,name=" KCORE_AGENT_PORT);
        r = r ?: strv_extend(&w->argv, "-device");
        r = r ?: strv_extend(&w->argv, "virtio-keyboard-pci,id=kcore-keyboard,bus=pcie.0,addr=1e.0,romfile=");
        r = r ?: strv_extend(&w->argv, "-chardev");
        r = r ?: strv_extendf(&w->argv, "socket,id=kcore-monitor,fd=%d,server=on,wait=off", w->launch->monitor_fd);
        r = r ?: strv_extend(&w->argv, "-mon");
        return r ?: strv_extend(&w->argv, "chardev=kcore-monitor,mode=control");
}

/* One word, or an option and its value; *ret_used says how many words that were. */
static int rewrite_word(struct rewrite *w, char *const *argv, size_t *ret_used) {
        const char *name = option_name(argv[0]);
        int r;

        *ret_used = 1;
        if (!name)
                return strv_extend(&w->argv, argv[0]);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (streq(name, refused[i].option))
                        return refuse(w->error, "-%s: %s", name, refused[i].why);
        for (size_t i = 0; i < ELEMENTSOF(rewritten); i++) {
                if (!streq(name, rewritten[i].option) && !streq(name, strempty(rewritten[i].alias)))
                        continue;
                if (!argv[1] || streq(name, "enable-kvm"))
                        return refuse(w->error, "-%s is not understood here", name);
                r = rewritten[i].seen > 0 ? once(w, (bool *) ((char *) w + rewritten[i].seen), name) : 0;
                r = r < 0 ? r : strv_extend(&w->argv, argv[0]);
                *ret_used = 2;
                return r < 0 ? r : rewritten[i].rewrite(w, argv[1]);
        }
        return strv_extend(&w->argv, argv[0]);
}

int qemu_argv_protect(char *const *argv, const char *qemu, const struct qemu_launch *l, char ***ret, char **ret_error) {
        _cleanup_free_ char *ram = NULL;
        struct rewrite w = { .launch = l, .error = ret_error };
        size_t used;
        int r;

        r = find_backend(argv, &w, &ram);
        w.ram = ram;
        r = r < 0 ? r : strv_extend(&w.argv, qemu);
        for (size_t i = 1; r >= 0 && argv[i]; i += used)
                r = rewrite_word(&w, argv + i, &used);
        if (r >= 0 && !(w.accel && w.machine && w.memory && w.smp && w.backend))
                r = refuse(ret_error, "there is no %s: this libvirt is not known",
                           !w.accel ? "-accel" : !w.machine ? "-machine" : !w.memory ? "-m" : !w.smp ? "-smp" : "-object with the memory");
        r = r < 0 ? r : append(&w);
        if (r < 0) {
                strv_free(w.argv);
                return r;
        }
        *ret = w.argv;
        return 0;
}
