/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu-cmdline.h"

#include <inttypes.h>

#include "agent-port.h"

/* A realm's virtio device must be modern (no legacy I/O) and must use the guest's DMA API: otherwise its
 * buffers are in private memory, where QEMU finds nothing. */
#define VIRTIO_OPTIONS "disable-legacy=on,iommu_platform=on"

void qemu_mac_address(sd_id128_t uuid, char buf[static 18]) {
        snprintf(buf, 18, "52:54:00:%02x:%02x:%02x", uuid.bytes[13], uuid.bytes[14], uuid.bytes[15]);
}

static int machine(const struct guest_config *c, const struct guest_layout *l, const struct qemu_fds *fds, char ***argv) {
        int r = 0;

        r = r ?: strv_extend(argv, "-name");
        r = r ?: strv_extendf(argv, "guest=%s,debug-threads=on", c->name);
        r = r ?: strv_extend(argv, "-uuid");
        r = r ?: strv_extendf(argv, SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(c->uuid));

        r = r ?: strv_extend(argv, "-nodefaults");
        r = r ?: strv_extend(argv, "-no-user-config");
        r = r ?: strv_extend(argv, "-display");
        r = r ?: strv_extend(argv, "none");
        r = r ?: strv_extend(argv, "-no-reboot");
        r = r ?: strv_extend(argv, "-sandbox");
        r = r ?: strv_extend(argv, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");

        r = r ?: strv_extend(argv, "-add-fd");
        r = r ?: strv_extendf(argv, "fd=%d,set=%d,opaque=/dev/kcore", fds->kcore, QEMU_FDSET_KCORE);
        r = r ?: strv_extend(argv, "-accel");
        r = r ?: strv_extendf(argv, "kvm,device=/dev/fdset/%d", QEMU_FDSET_KCORE);
        r = r ?: strv_extend(argv, "-cpu");
        r = r ?: strv_extend(argv, "host");
        r = r ?: strv_extend(argv, "-smp");
        r = r ?: strv_extendf(argv, "%" PRIu32, c->vcpus);

        /* RAM reaches from its base over the top IPA bit: pages of the lower part are the realm's, pages of
         * the upper part are shared with it. What is not touched costs nothing. */
        r = r ?: strv_extend(argv, "-m");
        r = r ?: strv_extendf(argv, "%" PRIu64 "M", (uint64_t) (l->qemu_memory / MIB));
        r = r ?: strv_extend(argv, "-object");
        r = r ?: strv_extendf(
                            argv, "memory-backend-ram,id=ram0,size=%" PRIu64 "M,reserve=off,merge=off,dump=off",
                            (uint64_t) (l->qemu_memory / MIB));
        r = r ?: strv_extend(argv, "-machine");
        r = r ?: strv_extend(
                            argv,
                            "virt,gic-version=3,its=off,highmem-ecam=off,highmem-mmio=off,highmem-redists=off,"
                            "mem-merge=off,dump-guest-core=off,memory-backend=ram0");
        return r;
}

static int control(const struct qemu_fds *fds, char ***argv) {
        int r = 0;

        r = r ?: strv_extend(argv, "-chardev");
        r = r ?: strv_extendf(argv, "socket,id=qmp,fd=%d,server=on,wait=off", fds->qmp);
        r = r ?: strv_extend(argv, "-mon");
        r = r ?: strv_extend(argv, "chardev=qmp,mode=control");
        r = r ?: strv_extend(argv, "-chardev");
        r = r ?: strv_extendf(argv, "socket,id=console,fd=%d,server=on,wait=off", fds->console);
        r = r ?: strv_extend(argv, "-serial");
        r = r ?: strv_extend(argv, "chardev:console");
        return r;
}

/* Behind the last disk, so that the others keep their addresses, and where neither the network nor the first two
 * disks have the same interrupt line (address modulo 4): each of their interrupts would cost an exit more. */
static int agent(const struct qemu_fds *fds, char ***argv) {
        int r = 0;

        r = r ?: strv_extend(argv, "-chardev");
        r = r ?: strv_extendf(argv, "socket,id=agent,fd=%d,server=on,wait=off", fds->agent);
        r = r ?: strv_extend(argv, "-device");
        r = r ?: strv_extendf(argv, "virtio-serial-pci,id=serial0,addr=%02x.0," VIRTIO_OPTIONS, ALIGN_TO(GUEST_DISKS_MAX + 2, 4));
        r = r ?: strv_extend(argv, "-device");
        r = r ?: strv_extend(argv, "virtserialport,bus=serial0.0,chardev=agent,name=" KCORE_AGENT_PORT);
        return r;
}

static int network(const struct guest_config *c, const struct qemu_fds *fds, char ***argv) {
        _cleanup_free_ char *netdev = NULL;
        char mac[18];
        int r = 0;

        if (c->network == GUEST_NETWORK_NONE)
                return 0;

        if (c->network == GUEST_NETWORK_TAP) {
                if (asprintf(&netdev, "tap,id=net0,fd=%d", fds->tap) < 0)
                        netdev = NULL;
        } else {
                netdev = strdup("user,id=net0");
                for (size_t i = 0; netdev && i < c->n_forwards; i++) {
                        char *next;

                        if (asprintf(
                                            &next, "%s,hostfwd=tcp:127.0.0.1:%u-:%u", netdev, c->forwards[i].host_port,
                                            c->forwards[i].guest_port) < 0)
                                next = NULL;
                        free(netdev);
                        netdev = next;
                }
        }
        if (!netdev)
                return -ENOMEM;

        qemu_mac_address(c->uuid, mac);
        r = r ?: strv_extend(argv, "-netdev");
        r = r ?: strv_extend(argv, netdev);
        r = r ?: strv_extend(argv, "-device");
        r = r ?: strv_extendf(argv, "virtio-net-pci,netdev=net0,mac=%s,addr=01.0,romfile=," VIRTIO_OPTIONS, mac);
        return r;
}

static int disks(const struct guest_config *c, const struct qemu_fds *fds, char ***argv) {
        int r = 0;

        for (size_t i = 0; i < c->n_disks; i++) {
                const char *ro = c->disks[i].read_only ? "on" : "off";

                r = r ?: strv_extend(argv, "-add-fd");
                r = r ?: strv_extendf(argv, "fd=%d,set=%d", fds->disks[i], QEMU_FDSET_DISK(i));
                r = r ?: strv_extend(argv, "-blockdev");
                r = r ?: strv_extendf(
                                    argv,
                                    "driver=%s,node-name=disk%zu-file,filename=/dev/fdset/%d,read-only=%s,"
                                    "auto-read-only=off,discard=unmap",
                                    fds->disk_is_block[i] ? "host_device" : "file", i, QEMU_FDSET_DISK(i), ro);
                r = r ?: strv_extend(argv, "-blockdev");
                r = r ?: strv_extendf(
                                    argv, "driver=raw,node-name=disk%zu,file=disk%zu-file,read-only=%s,discard=unmap",
                                    i, i, ro);
                r = r ?: strv_extend(argv, "-device");
                r = r ?: strv_extendf(argv, "virtio-blk-pci,drive=disk%zu,addr=%02zx.0," VIRTIO_OPTIONS, i, i + 2);
        }
        return r;
}

/* Its one purpose is the power key, for guests without a driver for the GPIO power button that the device tree
 * tells of: Debian's cloud kernels. Keys give the host nothing that the serial console does not give it. */
static int keyboard(char ***argv) {
        int r;

        r = strv_extend(argv, "-device");
        return r ?: strv_extend(argv, "virtio-keyboard-pci,addr=1e.0,romfile=," VIRTIO_OPTIONS);
}

int qemu_cmdline_build(
                const char *qemu,
                const struct guest_config *config,
                const struct guest_layout *layout,
                const struct qemu_fds *fds,
                char ***ret) {

        _cleanup_strv_free_ char **argv = NULL;
        int r;

        r = strv_extend(&argv, qemu);
        r = r ?: machine(config, layout, fds, &argv);
        r = r ?: control(fds, &argv);
        r = r ?: keyboard(&argv);
        r = r ?: network(config, fds, &argv);
        r = r ?: disks(config, fds, &argv);
        r = r ?: agent(fds, &argv);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(argv);
        return 0;
}

int qemu_version_parse(const char *s, unsigned *ret) {
        static const char prefix[] = "QEMU emulator version ";
        unsigned major, minor, micro = 0;

        if (strncmp(s, prefix, strlen(prefix)) != 0)
                return -EINVAL;
        if (sscanf(s + strlen(prefix), "%3u.%2u.%2u", &major, &minor, &micro) < 2)
                return -EINVAL;
        *ret = major * 10000 + minor * 100 + micro;
        return 0;
}
