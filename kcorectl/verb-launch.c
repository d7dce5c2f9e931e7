/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <time.h>

#include "../image/kci.h"
#include "../libkcore/guest-config.h"
#include "../libkcore/io.kcore.Manager.h"
#include "../libkcore/memfd.h"

static const char usage[] =
        "usage: kcorectl launch IMAGE.kci [OPTION...]\n"
        "       kcorectl launch --kernel IMAGE [OPTION...]\n"
        "\n"
        "Launches a guest that this host can not look into, and returns when it runs.\n"
        "\n"
        "IMAGE.kci, which \"kcorectl image\" makes, has kernel, initrd, command line, memory\n"
        "and vCPUs in it. Without one:\n"
        "\n"
        "  -k, --kernel IMAGE         arm64 Linux Image, not compressed\n"
        "  -i, --initrd FILE          its initrd\n"
        "  -a, --append LINE          the kernel's command line\n"
        "  -m, --memory SIZE          private memory, as 512M or 2G (default 512M)\n"
        "  -c, --vcpus N              virtual CPUs (default 1)\n"
        "      --early-console        kernel messages from the first instruction on\n"
        "\n"
        "With and without:\n"
        "\n"
        "  -d, --disk PATH[,ro]       raw disk image or block device; up to 12 times\n"
        "  -n, --network NET          none (default), user, or tap:INTERFACE\n"
        "  -p, --publish HOST:GUEST   forward a TCP port of 127.0.0.1; with --network user\n"
        "      --name NAME            the guest's name (default guest-N)\n"
        "      --uuid UUID            its UUID (default random)\n"
        "      --console              attach to the console; Ctrl-] leaves\n"
        "      --wait                 return when the guest has ended\n"
        "  -j, --json                 machine-readable output\n"
        "\n"
        "Files are opened here, with your rights; image, kernel and initrd are copied and\n"
        "may change afterwards.\n";

struct arguments {
        struct guest_config config;
        const char *image, *kernel, *initrd;
        bool shaped; /* something was said that is the image's business */
        bool console, wait;
};

/* --- the command line --- */

static int parse_disk(struct guest_config *c, const char *arg) {
        struct guest_disk *d;
        const char *comma;

        if (c->n_disks >= GUEST_DISKS_MAX)
                return usage_error("launch", "at most %d disks", GUEST_DISKS_MAX);
        d = &c->disks[c->n_disks++];
        *d = (struct guest_disk) { .fd = -EBADF };
        comma = strrchr(arg, ',');
        if (comma && streq(comma, ",ro")) {
                d->read_only = true;
                d->path = strndup(arg, (size_t) (comma - arg));
        } else
                d->path = strdup(arg);
        return 0;
}

static int parse_forward(struct guest_config *c, const char *arg) {
        _cleanup_free_ char *host = NULL;
        const char *colon = strchr(arg, ':');
        uint64_t h, g;

        if (c->n_forwards >= GUEST_FORWARDS_MAX)
                return usage_error("launch", "at most %d forwarded ports", GUEST_FORWARDS_MAX);
        host = strndup(arg, colon ? (size_t) (colon - arg) : 0);
        if (!colon || !host || parse_unsigned(host, 65535, &h) < 0 || parse_unsigned(colon + 1, 65535, &g) < 0)
                return usage_error("launch", "--publish takes HOSTPORT:GUESTPORT");
        c->forwards[c->n_forwards++] = (struct guest_forward) { (uint16_t) h, (uint16_t) g };
        return 0;
}

static int parse_network(struct guest_config *c, const char *arg) {
        if (strncmp(arg, "tap:", 4) == 0) {
                c->network = GUEST_NETWORK_TAP;
                (void) free_and_strdup(&c->tap, arg + 4);
                return 0;
        }
        c->network = guest_network_from_string(arg);
        if (c->network < 0 || c->network == GUEST_NETWORK_TAP)
                return usage_error("launch", "--network takes none, user or tap:INTERFACE");
        return 0;
}

/* Returns < 0 to go on, or an exit code. */
static int parse(int argc, char **argv, struct arguments *a) {
        enum { OPT_NAME = 256, OPT_UUID, OPT_EARLY, OPT_CONSOLE, OPT_WAIT };
        static const struct option options[] = {
                { "kernel", required_argument, NULL, 'k' },
                { "initrd", required_argument, NULL, 'i' },
                { "append", required_argument, NULL, 'a' },
                { "disk", required_argument, NULL, 'd' },
                { "memory", required_argument, NULL, 'm' },
                { "vcpus", required_argument, NULL, 'c' },
                { "network", required_argument, NULL, 'n' },
                { "publish", required_argument, NULL, 'p' },
                { "name", required_argument, NULL, OPT_NAME },
                { "uuid", required_argument, NULL, OPT_UUID },
                { "early-console", no_argument, NULL, OPT_EARLY },
                { "console", no_argument, NULL, OPT_CONSOLE },
                { "wait", no_argument, NULL, OPT_WAIT },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        struct guest_config *g = &a->config;
        uint64_t n;
        int c, code, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "k:i:a:d:m:c:n:p:jh", options, NULL)) >= 0) {
                a->shaped |= c == 'k' || c == 'i' || c == 'a' || c == 'm' || c == 'c' || c == OPT_EARLY;
                switch (c) {
                case 'k':
                        a->kernel = optarg;
                        r = free_and_strdup(&g->kernel_path, optarg);
                        break;
                case 'i':
                        a->initrd = optarg;
                        r = free_and_strdup(&g->initrd_path, optarg);
                        break;
                case 'a':
                        r = free_and_strdup(&g->append, optarg);
                        break;
                case 'd':
                        r = parse_disk(g, optarg);
                        break;
                case 'm':
                        if (parse_size(optarg, &g->memory) < 0)
                                return usage_error("launch", "--memory takes a size, as 512M or 2G");
                        break;
                case 'c':
                        if (parse_unsigned(optarg, UINT32_MAX, &n) < 0)
                                return usage_error("launch", "--vcpus takes a number");
                        g->vcpus = (uint32_t) n;
                        break;
                case 'n':
                        r = parse_network(g, optarg);
                        break;
                case 'p':
                        r = parse_forward(g, optarg);
                        break;
                case OPT_NAME:
                        r = free_and_strdup(&g->name, optarg);
                        break;
                case OPT_UUID:
                        if (sd_id128_from_string(optarg, &g->uuid) < 0)
                                return usage_error("launch", "--uuid takes a UUID");
                        break;
                case OPT_EARLY:
                        g->earlycon = true;
                        break;
                case OPT_CONSOLE:
                        a->console = true;
                        break;
                case OPT_WAIT:
                        a->wait = true;
                        break;
                default:
                        code = common_option(c, "launch", usage);
                        if (code >= 0)
                                return code;
                }
        }
        if (r != 0)
                return r < 0 ? EXIT_FAILED : r;
        if (optind < argc) {
                a->image = argv[optind++];
                if (free_and_strdup(&g->image_path, a->image) < 0)
                        return EXIT_FAILED;
        }
        if (optind < argc)
                return usage_error("launch", "unexpected argument \"%s\"", argv[optind]);
        if (!a->image && !a->kernel)
                return usage_error("launch", "launch needs an image, or a kernel (--kernel)");
        if (a->image && a->shaped)
                return usage_error("launch", "an image has its own kernel, initrd, command line, memory and vCPUs");
        if (a->console && (a->wait || context.json))
                return usage_error("launch", "--console can not be combined with --wait or --json");
        return -1;
}

/* --- progress, on a terminal only --- */

static bool show_progress;
static uint64_t last_shown;

static void stage(const char *text) {
        if (show_progress)
                fprintf(stderr, "\r\x1b[K%s ...", text);
}

static void stage_done(void) {
        if (show_progress)
                fputs("\r\x1b[K", stderr);
}

static void on_read(uint64_t done, uint64_t total, void *userdata) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (!show_progress || now - last_shown < 100 * USEC_PER_MSEC)
                return;
        last_shown = now;
        fprintf(stderr, "\r\x1b[KReading %s: %" PRIu64 " of %" PRIu64 " MiB", (const char *) userdata, done / MIB, total / MIB);
}

static int on_check(uint64_t done, uint64_t total, void *userdata) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (now - last_shown >= 100 * USEC_PER_MSEC) {
                last_shown = now;
                fprintf(stderr, "\r\x1b[KChecking %s: %" PRIu64 " of %" PRIu64 " MiB", (const char *) userdata, done / MIB, total / MIB);
        }
        return 0;
}

/* --- files --- */

static int file_error(const char *path, int error) {
        return report_error(
                        error == -EACCES || error == -EPERM ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL,
                        "%s: %s", path, strerror(-error));
}

static int load(const char *path, const char *what, uint64_t max, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        char size[32];
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return file_error(path, -errno);
        r = memfd_from_file(fd, what, max, on_read, (void *) path);
        if (r == -EFBIG)
                return report_error(EXIT_INVALID, "File", NULL, "%s: too big for a %s: at most %s", path, what, format_size(size, max));
        if (r == -ENOTSUP)
                return report_error(EXIT_INVALID, "File", NULL, "%s: not a regular file", path);
        if (r == -EINVAL)
                return report_error(EXIT_INVALID, "File", NULL, "%s: empty file", path);
        if (r < 0)
                return file_error(path, r);
        *ret = r;
        return 0;
}

/* What is wrong with an image is told here, where the caller's words for it are known; the daemon and KCore
 * believe nobody and look for themselves. */
static int check_image(const char *path, int fd) {
        struct kci_progress p = { .report = show_progress ? on_check : NULL, .userdata = (void *) path };
        struct kci_error e = {};
        struct kci_image i;
        char id[32];
        int r;

        r = kci_read(fd, &i, &e);
        if (r >= 0 && i.is_signed)
                r = kci_check_signature(&i, &e);
        if (r >= 0)
                r = kci_is_sealed(&i) ? kci_check_sealed(fd, &i, &e) : kci_visit(fd, &i, &p, NULL, NULL, &e);
        if (r >= 0)
                return 0;
        stage_done();
        snprintf(id, sizeof(id), "Image.%s", kci_code_to_string(e.code));
        return report_error(e.code == KCI_ERROR_IO || e.code == KCI_ERROR_CRYPTO ? EXIT_FAILED : EXIT_INVALID, id, NULL, "%s: %s", path, e.message);
}

static int open_tap(const char *name, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

        if (strlen(name) >= sizeof(ifr.ifr_name) || isempty(name))
                return report_error(EXIT_INVALID, "Tap", NULL, "\"%s\" can not be the name of an interface", name);
        /* Without this check TUNSETIFF would make a new, unconnected interface. */
        if (if_nametoindex(name) == 0)
                return report_error(EXIT_INVALID, "Tap", "Make it: ip tuntap add INTERFACE mode tap", "there is no interface %s", name);
        strcpy(ifr.ifr_name, name);
        fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return file_error("/dev/net/tun", -errno);
        if (ioctl(fd, TUNSETIFF, &ifr) < 0)
                return report_error(
                                errno == EPERM ? EXIT_PERMISSION : EXIT_INVALID, "Tap", NULL,
                                "the tap interface %s can not be used: %s", name,
                                errno == EINVAL ? "it is no tap interface" : strerror(errno));
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_files(struct arguments *a) {
        struct guest_config *c = &a->config;
        int r;

        if (a->image) {
                r = load(a->image, "image", GUEST_IMAGE_MAX, &c->image_fd);
                if (r == 0)
                        r = check_image(a->image, c->image_fd);
        } else
                r = load(a->kernel, "kernel", GUEST_KERNEL_MAX, &c->kernel_fd);
        if (r == 0 && a->initrd)
                r = load(a->initrd, "initrd", GUEST_INITRD_MAX, &c->initrd_fd);
        for (size_t i = 0; r == 0 && i < c->n_disks; i++) {
                struct guest_disk *d = &c->disks[i];

                d->fd = open(strempty(d->path), (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY);
                if (d->fd < 0)
                        r = file_error(strempty(d->path), -errno);
        }
        if (r == 0 && c->network == GUEST_NETWORK_TAP)
                r = open_tap(c->tap, &c->tap_fd);
        return r;
}

/* --- the call --- */

struct call {
        bool done;
        int exit_code;
        sd_json_variant *reply;
};

static int on_reply(sd_varlink *link, sd_json_variant *parameters, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata) {
        struct call *c = userdata;

        (void) link;
        if (error_id) {
                stage_done();
                c->exit_code = client_report(error_id, parameters);
                c->done = true;
        } else if (flags & SD_VARLINK_REPLY_CONTINUES) {
                if (streq(field_string(parameters, "stage"), "starting"))
                        stage("Making the realm");
        } else {
                c->reply = sd_json_variant_ref(parameters);
                c->done = true;
        }
        return 0;
}

static int push(sd_varlink *link, int *fd, sd_json_variant **v, const char *field) {
        int r;

        if (*fd < 0)
                return 0;
        r = sd_varlink_push_fd(link, *fd);
        if (r < 0)
                return r;
        *fd = -EBADF; /* the connection's now */
        return field ? sd_json_variant_set_field_integer(v, field, r) : r;
}

static int build_parameters(sd_varlink *link, struct guest_config *c, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *guest = NULL, *v = NULL, *disks = NULL;
        int r;

        r = guest_config_to_json(c, &guest);
        r = r < 0 ? r : sd_json_variant_set_field(&v, "guest", guest);
        r = r < 0 ? r : push(link, &c->image_fd, &v, "imageFileDescriptor");
        r = r < 0 ? r : push(link, &c->kernel_fd, &v, "kernelFileDescriptor");
        r = r < 0 ? r : push(link, &c->initrd_fd, &v, "initrdFileDescriptor");
        r = r < 0 ? r : push(link, &c->tap_fd, &v, "tapFileDescriptor");
        for (size_t i = 0; r >= 0 && i < c->n_disks; i++) {
                r = push(link, &c->disks[i].fd, NULL, NULL);
                r = r < 0 ? r : sd_json_variant_append_arrayb(&disks, SD_JSON_BUILD_INTEGER(r));
        }
        if (r >= 0 && disks)
                r = sd_json_variant_set_field(&v, "diskFileDescriptors", disks);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

static int call_launch(sd_varlink *link, struct guest_config *c, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        struct call call = {};
        int r;

        r = build_parameters(link, c, &parameters);
        if (r < 0)
                return report_error(EXIT_INVALID, "Error", NULL, "the request can not be made: %s", strerror(-r));
        sd_varlink_set_userdata(link, &call);
        r = sd_varlink_bind_reply(link, on_reply);
        r = r < 0 ? r : sd_varlink_observe(link, METHOD_LAUNCH, parameters);
        while (r >= 0 && !call.done) {
                r = sd_varlink_process(link);
                if (r == 0)
                        r = sd_varlink_wait(link, UINT64_MAX);
        }
        if (!call.done)
                return report_error(EXIT_FAILED, "Error", NULL, "the call to kcoresd failed: %s", strerror(-r));
        (void) sd_varlink_bind_reply(link, NULL);
        *ret = call.reply;
        return call.exit_code;
}

/* The first free "guest-N". */
static int choose_name(sd_varlink *link, struct guest_config *c) {
        sd_json_variant *reply, *guests;
        int r;

        r = client_call(link, METHOD_LIST, NULL, &reply);
        if (r != 0)
                return r;
        guests = sd_json_variant_by_key(reply, "guests");
        for (unsigned n = 1;; n++) {
                bool taken = false;

                free(c->name);
                if (asprintf(&c->name, "guest-%u", n) < 0) {
                        c->name = NULL;
                        return EXIT_FAILED;
                }
                for (size_t i = 0; i < sd_json_variant_elements(guests); i++)
                        taken |= streq(field_string(sd_json_variant_by_key(sd_json_variant_by_index(guests, i), "guest"), "name"), c->name);
                if (!taken)
                        return 0;
        }
}

/* Until the guest has ended. Its record may go while we look: then somebody stopped it. */
static int wait_for_end(const char *name) {
        for (;;) {
                _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
                sd_json_variant *reply = NULL, *state;
                const char *error_id = NULL, *status;
                int r;

                r = client_connect(&link);
                if (r != 0)
                        return r;
                r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("name", name));
                r = r < 0 ? r : sd_varlink_call(link, METHOD_DESCRIBE, parameters, &reply, &error_id);
                if (r < 0)
                        return report_error(EXIT_FAILED, "Error", NULL, "the call to kcoresd failed: %s", strerror(-r));
                if (error_id && streq(error_id, ERROR_NO_SUCH_GUEST))
                        return EXIT_OK;
                if (error_id)
                        return client_report(error_id, reply);
                state = sd_json_variant_by_key(reply, "guest");
                status = field_string(state, "status");
                if (streq(status, "exited") || streq(status, "failed")) {
                        bool failed = streq(status, "failed");

                        if (context.json)
                                print_json(reply);
                        else if (!failed)
                                printf("Guest %s ended: %s.\n", name, field_string(state, "reason"));
                        else
                                return report_error(EXIT_FAILED, "GuestFailed", NULL, "guest %s failed: %s", name, field_string(state, "reason"));
                        return failed ? EXIT_FAILED : EXIT_OK;
                }
                (void) usleep((useconds_t) (300 * USEC_PER_MSEC));
        }
}

static int launch(struct arguments *a) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = NULL;
        _cleanup_(config_error_donep) struct config_error e = {};
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *reply = NULL;
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int console = -EBADF;
        uint64_t start = now_usec(CLOCK_MONOTONIC);
        int r;

        r = client_connect(&link);
        if (r != 0)
                return r;
        if (!a->config.name) {
                r = choose_name(link, &a->config);
                if (r != 0)
                        return r;
        }
        /* The daemon looks again; this is for an answer before large files are read. */
        r = guest_config_validate(&a->config, &e);
        if (r < 0)
                return report_error(EXIT_INVALID, "InvalidGuest", NULL, "%s", strempty(e.message));
        name = strdup(a->config.name);
        if (!name)
                return EXIT_FAILED;
        r = open_files(a);
        stage_done();
        if (r != 0)
                return r;

        stage("Asking kcoresd");
        r = call_launch(link, &a->config, &reply);
        stage_done();
        if (r != 0)
                return r;

        if (a->console) {
                r = console_attach_by_name(link, name, &console);
                return r != 0 ? r : console_run(console, name);
        }
        if (context.json && !a->wait)
                print_json(reply);
        else if (!context.json) {
                uint64_t ms = (now_usec(CLOCK_MONOTONIC) - start) / 1000;

                printf("Launched %s in %" PRIu64 ".%" PRIu64 " s.%s%s\n", name, ms / 1000, ms % 1000 / 100,
                       a->wait ? "" : " Console: kcorectl console ", a->wait ? "" : name);
                fflush(stdout);
        }
        return a->wait ? wait_for_end(name) : EXIT_OK;
}

int verb_launch(int argc, char **argv) {
        struct arguments a = { .config = GUEST_CONFIG_INIT };
        int r;

        r = parse(argc, argv, &a);
        if (r < 0) {
                show_progress = !context.json && isatty(STDERR_FILENO);
                r = launch(&a);
        }
        guest_config_done(&a.config);
        return r;
}
