/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

void store_files_free(struct store_files *files) {
        for (size_t i = 0; i < files->n; i++)
                free(files->items[i].data);
        free(files->items);
        *files = (struct store_files) {};
}

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}
#define _cleanup_dir_ _cleanup_(closedirp)

static int open_regular(int dir_fd, const char *name, off_t max, size_t *ret_size) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        struct stat st;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EISDIR;
        if (st.st_size > max)
                return -EFBIG;
        *ret_size = (size_t) st.st_size;
        return TAKE_FD(fd);
}

/* Exactly size bytes: a file that changes meanwhile is an error. */
static int read_exactly(int fd, void *p, size_t size) {
        for (size_t n = 0; n < size;) {
                ssize_t k = read(fd, (uint8_t *) p + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        return -EIO;
                n += (size_t) k;
        }
        return 0;
}

/* Is that a file of this kind? Then *ret_length is its name's length without the suffix. */
static bool has_suffix(const char *file, const char *suffix, size_t *ret_length) {
        size_t n = strlen(file), k = strlen(suffix);

        if (file[0] == '.' || n <= k || !streq(file + n - k, suffix))
                return false;
        *ret_length = n - k;
        return true;
}

static int add_file(struct store_files *files, enum store_kind kind, const char *repository, int dir_fd, const char *file, size_t length) {
        struct store_file *items, *e;
        _cleanup_close_ int fd = -EBADF;
        size_t size;
        int r;

        if (files->n == STORE_FILES_MAX)
                return -E2BIG;
        if (length > KBS_NAME_MAX)
                return -ENAMETOOLONG;
        fd = open_regular(dir_fd, file, STORE_FILE_MAX, &size);
        if (fd < 0)
                return fd;
        items = reallocarray(files->items, files->n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        files->items = items;
        e = &items[files->n];
        *e = (struct store_file) { .kind = kind, .size = size };
        memcpy(e->repository, repository, strlen(repository) + 1);
        memcpy(e->name, file, length);
        if (!kbs_name_is_valid(e->name))
                return -ENAMETOOLONG;
        e->data = calloc(1, size + 1);
        if (!e->data)
                return -ENOMEM;
        files->n++;
        r = read_exactly(fd, e->data, size);
        return r;
}

static int open_dir(int dir_fd, const char *name, DIR **ret) {
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r;

        if (fd < 0)
                return -errno;
        *ret = fdopendir(fd);
        if (!*ret) {
                r = -errno;
                close(fd);
                return r;
        }
        return 0;
}

/* The files of these kinds in one directory. */
static int add_directory(struct store_files *files, int dir_fd, const char *name, const char *repository) {
        static const char *const suffixes[] = {
                [STORE_IDENTITY] = ".kplat",
                [STORE_KEY] = ".pem",
                [STORE_REFERENCE] = ".json",
        };
        _cleanup_dir_ DIR *d = NULL;
        int r;

        r = open_dir(dir_fd, name, &d);
        if (r < 0)
                return r;
        for (struct dirent *e; (errno = 0, e = readdir(d));)
                for (enum store_kind kind = 0; kind < ELEMENTSOF(suffixes); kind++) {
                        size_t length;

                        if ((kind == STORE_REFERENCE) != (*repository != 0) || !has_suffix(e->d_name, suffixes[kind], &length))
                                continue;
                        r = add_file(files, kind, repository, dirfd(d), e->d_name, length);
                        if (r < 0)
                                return r;
                }
        return -errno;
}

static int compare(const void *a, const void *b) {
        const struct store_file *x = a, *y = b;

        return strcmp(x->repository, y->repository) ?: strcmp(x->name, y->name);
}

static void give(struct store_files *files, struct store_files *ret) {
        if (files->n > 0)
                qsort(files->items, files->n, sizeof(*files->items), compare);
        *ret = *files;
        *files = (struct store_files) {};
}

int store_platforms(int dir_fd, struct store_files *ret) {
        _cleanup_(store_files_free) struct store_files files = {};
        int r;

        r = add_directory(&files, dir_fd, ".", "");
        if (r == 0)
                give(&files, ret);
        return r;
}

int store_references(int dir_fd, struct store_files *ret) {
        _cleanup_(store_files_free) struct store_files files = {};
        _cleanup_dir_ DIR *d = NULL;
        int r;

        r = open_dir(dir_fd, ".", &d);
        if (r < 0)
                return r;
        for (struct dirent *e; (errno = 0, e = readdir(d));) {
                if (e->d_name[0] == '.')
                        continue;
                if (!kbs_name_is_valid(e->d_name))
                        return -ENAMETOOLONG;
                r = add_directory(&files, dirfd(d), e->d_name, e->d_name);
                if (r < 0 && r != -ENOTDIR)
                        return r;
        }
        if (errno)
                return -errno;
        give(&files, ret);
        return 0;
}

int store_resource(int dir_fd, const char *repository, const char *type, const char *tag, struct secret *ret) {
        _cleanup_close_ int repo_fd = -EBADF, type_fd = -EBADF, fd = -EBADF;
        _cleanup_secret_ struct secret s = {};
        size_t size;
        int r;

        repo_fd = openat(dir_fd, repository, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (repo_fd < 0)
                return -errno;
        type_fd = openat(repo_fd, type, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (type_fd < 0)
                return -errno;
        fd = open_regular(type_fd, tag, KBS_RESOURCE_MAX, &size);
        if (fd < 0)
                return fd;
        r = secret_new(&s, size);
        r = r ?: read_exactly(fd, s.data, size);
        if (r < 0)
                return r;
        *ret = s;
        s = (struct secret) {};
        return 0;
}
