/* SPDX-License-Identifier: Apache-2.0 */
#include "kcorectl.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/wait.h>

#include "../image/kci.h"
#include "../libkcore/guest-config.h"
#include "../libvirt/domain-xml.h"

#define LINES_MAX 4000 /* a domain has about 200 */

struct arguments {
        const char *xml, *image, *output, *connect;
};

/* --- the difference, as people read it --- */

static char **split(const char *text) {
        char **l = NULL;

        while (*text) {
                size_t n = strcspn(text, "\n");

                if (strv_extendf(&l, "%.*s", (int) n, text) < 0)
                        return strv_free(l);
                text += n + (text[n] == '\n');
        }
        return l;
}

static void diff_line(FILE *f, char sign, const char *line) {
        const char *c = sign == '+' ? ANSI_GREEN : sign == '-' ? ANSI_RED : "";

        fputs(*c ? color(f, c) : "", f);
        fputc(sign, f);
        print_safe(f, line);
        fputs(*c ? color(f, ANSI_NORMAL) : "", f);
        fputc('\n', f);
}

/* Longest common subsequence; unchanged lines are shown where their neighbours change. */
static int print_diff(FILE *f, const char *before, const char *after) {
        _cleanup_strv_free_ char **a = split(before), **b = split(after);
        _cleanup_free_ uint16_t *common = NULL;
        size_t n = strv_length(a), m = strv_length(b);

        if (!a || !b)
                return -ENOMEM;
        if (n > LINES_MAX || m > LINES_MAX)
                return -E2BIG;
        common = calloc((n + 1) * (m + 1), sizeof(*common));
        if (!common)
                return -ENOMEM;
#define COMMON(i, j) common[(i) * (m + 1) + (j)]
        for (size_t i = n; i-- > 0;)
                for (size_t j = m; j-- > 0;)
                        COMMON(i, j) = streq(a[i], b[j]) ? COMMON(i + 1, j + 1) + 1 : MAX(COMMON(i + 1, j), COMMON(i, j + 1));
        for (size_t i = 0, j = 0; i < n || j < m;) {
                if (i < n && j < m && streq(a[i], b[j])) {
                        bool next = i + 1 < n && j + 1 < m && streq(a[i + 1], b[j + 1]);
                        bool previous = i > 0 && j > 0 && streq(a[i - 1], b[j - 1]);

                        if (!next || !previous)
                                diff_line(f, ' ', a[i]);
                        i++, j++;
                } else if (j >= m || (i < n && COMMON(i + 1, j) >= COMMON(i, j + 1)))
                        diff_line(f, '-', a[i++]);
                else
                        diff_line(f, '+', b[j++]);
        }
#undef COMMON
        return 0;
}

/* --- files --- */

static int read_xml(const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int opened = -EBADF;
        _cleanup_free_ char *text = NULL;
        size_t n = 0;
        ssize_t k;
        int fd = STDIN_FILENO;

        if (!streq(path, "-")) {
                fd = opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                if (fd < 0)
                        return report_error(errno == EACCES ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL, "%s: %s", path, strerror(errno));
        }
        text = malloc(DOMAIN_XML_MAX + 1);
        if (!text)
                return report_error(EXIT_FAILED, "OutOfMemory", NULL, "there is not enough memory");
        do {
                k = read(fd, text + n, DOMAIN_XML_MAX + 1 - n);
                if (k < 0)
                        return report_error(EXIT_INVALID, "File", NULL, "%s: %s", path, strerror(errno));
                n += (size_t) k;
        } while (k > 0 && n <= DOMAIN_XML_MAX);
        *ret = TAKE_PTR(text);
        *ret_size = n;
        return 0;
}

/* What the image says of the domain, and its absolute path: libvirt's hook has another working directory. */
static int read_image(const char *path, struct kci_image *ret, char **ret_path) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct kci_error e = {};
        char id[32];

        *ret_path = fd < 0 ? NULL : realpath(path, NULL);
        if (!*ret_path)
                return report_error(errno == EACCES ? EXIT_PERMISSION : EXIT_INVALID, "File", NULL, "%s: %s", path, strerror(errno));
        if (kci_read(fd, ret, &e) >= 0)
                return 0;
        snprintf(id, sizeof(id), "Image.%s", kci_code_to_string(e.code));
        return report_error(EXIT_INVALID, id, NULL, "%s: %s", path, e.message);
}

/* Returns 0 with the new XML, after showing what changed. */
static int convert(const struct arguments *a, char **ret) {
        _cleanup_free_ char *text = NULL, *image = NULL, *before = NULL, *error = NULL, *after = NULL;
        struct kci_image i;
        size_t size = 0;
        int r;

        r = read_image(a->image, &i, &image);
        r = r ?: read_xml(a->xml, &text, &size);
        if (r != 0)
                return r;
        if (!guest_label_is_valid(image))
                return report_error(EXIT_INVALID, "File", NULL, "%s: the path is too long or has control characters", a->image);
        r = domain_xml_convert(text, size, image, i.memory, i.vcpus, &after, &before, &error);
        if (r < 0)
                return report_error(EXIT_INVALID, "InvalidDomain", NULL, "%s: %s", a->xml, error ?: strerror(-r));
        if (!context.json) {
                if (streq(before, after))
                        fprintf(stderr, "Nothing had to be changed.\n");
                else if (print_diff(stderr, before, after) == -E2BIG)
                        fprintf(stderr, "The difference is too long to be shown.\n");
        }
        *ret = TAKE_PTR(after);
        return 0;
}

static int print_result(const struct arguments *a, const char *xml) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        if (a->output) {
                r = write_file_atomic(a->output, xml, 0644);
                if (r < 0)
                        return report_error(r == -EACCES ? EXIT_PERMISSION : EXIT_FAILED, "File", NULL, "%s: %s", a->output, strerror(-r));
        }
        if (context.json) {
                if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("domain", xml)) < 0)
                        return report_error(EXIT_FAILED, "OutOfMemory", NULL, "there is not enough memory");
                print_json(v);
        } else if (!a->output)
                fputs(xml, stdout);
        return EXIT_OK;
}

/* virsh define, which knows all of libvirt's connections; the XML goes through a pipe. */
static int virsh_define(const struct arguments *a, const char *xml) {
        const char *argv[] = { "virsh", "--quiet", "define", "/dev/stdin", NULL, NULL, NULL };
        size_t n = strlen(xml);
        int p[2], status;
        pid_t pid;

        if (a->connect) {
                argv[4] = "--connect";
                argv[5] = a->connect;
        }
        if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
                return report_error(EXIT_FAILED, "Virsh", NULL, "virsh can not be started: %s", strerror(errno));
        if (pid == 0) {
                if (dup2(p[0], STDIN_FILENO) >= 0)
                        execvp(argv[0], (char *const *) argv);
                _exit(127);
        }
        safe_close(p[0]);
        for (ssize_t k; n > 0 && (k = write(p[1], xml, n)) > 0; xml += k)
                n -= (size_t) k;
        safe_close(p[1]);
        if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
                return report_error(EXIT_FAILED, "Virsh", NULL, "virsh did not end well");
        if (WEXITSTATUS(status) == 127)
                return report_error(EXIT_FAILED, "Virsh", "Install libvirt-clients.", "virsh can not be started");
        return WEXITSTATUS(status) == 0 && n == 0 ? EXIT_OK :
                report_error(EXIT_FAILED, "Virsh", NULL, "virsh did not define the domain");
}

static int parse(int argc, char **argv, const char *usage, bool define, struct arguments *a) {
        enum { OPT_CONNECT = 256 };
        static const struct option options[] = {
                { "image", required_argument, NULL, 'i' },
                { "output", required_argument, NULL, 'o' },
                { "connect", required_argument, NULL, OPT_CONNECT },
                { "json", no_argument, NULL, 'j' },
                { "help", no_argument, NULL, 'h' },
                {}
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "i:o:jh", options, NULL)) >= 0)
                switch (c) {
                case 'i':
                        a->image = optarg;
                        break;
                case 'o':
                        a->output = optarg;
                        break;
                case OPT_CONNECT:
                        a->connect = optarg;
                        break;
                default:
                        r = common_option(c, argv[0], usage);
                        if (r >= 0)
                                return r;
                }
        if (argc - optind != 1)
                return usage_error(argv[0], "%s needs one file with the XML of a domain", argv[0]);
        if (!a->image)
                return usage_error(argv[0], "%s needs an image: --image FILE.kci", argv[0]);
        if (define ? a->output != NULL : a->connect != NULL)
                return usage_error(argv[0], "wrong option");
        a->xml = argv[optind];
        return -1;
}

int verb_convert(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl convert DOMAIN.xml --image IMAGE.kci [OPTION...]\n"
                "\n"
                "Makes a protected domain of an ordinary one of libvirt (\"-\": standard input, as\n"
                "from virsh dumpxml). Shows the difference, and prints the new XML.\n"
                "\n"
                "  -i, --image FILE   what the domain runs; memory and vCPUs become the image's\n"
                "  -o, --output FILE  write the XML there\n"
                "  -j, --json         print {\"domain\": XML}\n"
                "\n"
                "See kcore-qemu(8).\n";
        _cleanup_free_ char *xml = NULL;
        struct arguments a = {};
        int r;

        r = parse(argc, argv, usage, false, &a);
        if (r >= 0)
                return r;
        r = convert(&a, &xml);
        return r ?: print_result(&a, xml);
}

int verb_define(int argc, char **argv) {
        static const char usage[] =
                "usage: kcorectl define DOMAIN.xml --image IMAGE.kci [OPTION...]\n"
                "\n"
                "Like \"kcorectl convert\", and defines the domain in libvirt. Start it with\n"
                "virsh start.\n"
                "\n"
                "  -i, --image FILE   what the domain runs; memory and vCPUs become the image's\n"
                "      --connect URI  libvirt's connection, as for virsh\n"
                "  -j, --json         print {\"domain\": XML}\n";
        _cleanup_free_ char *xml = NULL;
        struct arguments a = {};
        int r;

        r = parse(argc, argv, usage, true, &a);
        if (r >= 0)
                return r;
        r = convert(&a, &xml);
        r = r ?: virsh_define(&a, xml);
        return r != 0 || !context.json ? r : print_result(&a, xml);
}
