/* SPDX-License-Identifier: Apache-2.0 */

/* Linked into the agent under test, in place of mkdir() and rmdir(): a directory made below $FAKE_TSM gets the
 * attributes of configfs-tsm, inblob and outblob being fifos. Whoever serves them (ccatoken.py) is the
 * kernel. */

#include <fcntl.h>
#include <sys/stat.h>

#include "../../libkcore/util.h"

int __real_mkdir(const char *path, mode_t mode);
int __real_rmdir(const char *path);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_rmdir(const char *path);

static bool is_ours(const char *path) {
        const char *root = getenv("FAKE_TSM");

        return root && strncmp(path, root, strlen(root)) == 0;
}

static void attribute(const char *dir, const char *name, const char *text) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", dir, name) < 0)
                abort();
        if (!text) {
                if (mkfifo(path, 0600) < 0)
                        abort();
                return;
        }
        FILE *f = fopen(path, "we");
        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                abort();
}

int __wrap_mkdir(const char *path, mode_t mode) {
        if (!is_ours(path))
                return __real_mkdir(path, mode);
        /* The kernel's side looks for directories whose name it knows: it must not see half of one. */
        _cleanup_free_ char *part = NULL;

        if (asprintf(&part, "%s.part", path) < 0)
                abort();
        if (__real_mkdir(part, mode) < 0)
                return -1;
        attribute(part, "provider", getenv("FAKE_TSM_PROVIDER") ?: "arm_cca_guest\n");
        attribute(part, "generation", "0\n");
        attribute(part, "inblob", NULL);
        attribute(part, "outblob", NULL);
        return rename(part, path);
}

int __wrap_rmdir(const char *path) {
        static const char *const names[] = { "provider", "generation", "inblob", "outblob" };

        if (is_ours(path))
                for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                        _cleanup_free_ char *p = NULL;

                        if (asprintf(&p, "%s/%s", path, names[i]) < 0)
                                abort();
                        (void) unlink(p);
                }
        return __real_rmdir(path);
}
