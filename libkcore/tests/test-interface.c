/* SPDX-License-Identifier: Apache-2.0 */

/* docs/io.kcore.*.varlink are what the daemon answers to introspection. "Manager" or "Launch" as the first
 * argument; with a second, that file is compared, without, the text is printed (that is how the file is made). */

#include "../io.kcore.Launch.h"
#include "../io.kcore.Manager.h"
#include "../util.h"

int main(int argc, char **argv) {
        _cleanup_free_ char *text = NULL, *documented = NULL;
        int r;

        if (argc < 2) {
                fprintf(stderr, "usage: %s Manager|Launch [FILE]\n", argv[0]);
                return 2;
        }
        r = sd_varlink_idl_format(streq(argv[1], "Launch") ? &vl_interface_io_kcore_Launch : &vl_interface_io_kcore_Manager, &text);
        if (r < 0) {
                fprintf(stderr, "the interface is not well-formed: %s\n", strerror(-r));
                return 1;
        }
        if (argc < 3) {
                fputs(text, stdout);
                return 0;
        }
        r = read_small_file(argv[2], 256 * KIB, &documented);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[2], strerror(-r));
                return 1;
        }
        if (!streq(text, documented)) {
                fprintf(stderr, "%s does not describe the interface; make it anew:\n  %s %s > %s\n", argv[2], argv[0], argv[1], argv[2]);
                return 1;
        }
        return 0;
}
