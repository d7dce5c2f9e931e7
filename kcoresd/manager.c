/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <dirent.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "domain.h"
#include "guest.h"
#include "log.h"

int manager_new(const struct manager_ops *ops, void *system, const char *runtime_dir, Manager **ret) {
        Manager *m;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->ops = ops;
        m->system = system;
        if (asprintf(&m->guests_dir, "%s/guests", runtime_dir) < 0) {
                m->guests_dir = NULL;
                r = -ENOMEM;
                goto fail;
        }
        if (asprintf(&m->domains_dir, "%s/domains", runtime_dir) < 0) {
                m->domains_dir = NULL;
                r = -ENOMEM;
                goto fail;
        }
        if ((mkdir(m->guests_dir, 0700) < 0 && errno != EEXIST) || (mkdir(m->domains_dir, 0700) < 0 && errno != EEXIST)) {
                r = -errno;
                goto fail;
        }
        r = sd_event_default(&m->event);
        if (r < 0)
                goto fail;
        r = manager_varlink_init(m);
        r = r < 0 ? r : manager_launch_varlink_init(m);
        if (r < 0)
                goto fail;
        *ret = m;
        return 0;
fail:
        manager_free(m);
        return r;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        /* Connections first: their handlers look at guests. The guests themselves run on. */
        manager_varlink_done(m);
        while (m->n_guests > 0)
                guest_free(m->guests[0]);
        while (m->n_domains > 0)
                domain_free(m->domains[0]);
        for (size_t i = 0; i < m->n_stored; i++) {
                free(m->stored[i].name);
                safe_close(m->stored[i].fd);
        }
        sd_event_unref(m->event);
        free(m->guests_dir);
        free(m->domains_dir);
        free(m);
        return NULL;
}

int manager_add_stored_fd(Manager *m, const char *name, int fd) {
        char *copy;

        if ((strncmp(name, STORED_GUEST_PREFIX, strlen(STORED_GUEST_PREFIX)) != 0 &&
             strncmp(name, STORED_DOMAIN_PREFIX, strlen(STORED_DOMAIN_PREFIX)) != 0) ||
            m->n_stored >= ELEMENTSOF(m->stored)) {
                safe_close(fd);
                return -EINVAL;
        }
        copy = strdup(name);
        if (!copy) {
                safe_close(fd);
                return -ENOMEM;
        }
        m->stored[m->n_stored].name = copy;
        m->stored[m->n_stored++].fd = fd;
        return 0;
}

int manager_take_stored_fd(Manager *m, const char *name) {
        for (size_t i = 0; i < m->n_stored; i++)
                if (streq(m->stored[i].name, name)) {
                        int fd = m->stored[i].fd;

                        free(m->stored[i].name);
                        m->stored[i] = m->stored[--m->n_stored];
                        return fd;
                }
        return -EBADF;
}

Guest *manager_find(Manager *m, const char *name) {
        for (size_t i = 0; i < m->n_guests; i++)
                if (m->guests[i]->state.config.name && streq(m->guests[i]->state.config.name, name))
                        return m->guests[i];
        return NULL;
}

int manager_load(Manager *m) {
        struct dirent *de;
        DIR *d;
        int r;

        d = opendir(m->guests_dir);
        if (!d)
                return -errno;
        while ((de = readdir(d))) {
                Guest *g;

                if (de->d_name[0] == '.')
                        continue;
                r = guest_load(m, de->d_name, &g);
                if (r == -ENOENT)
                        fprintf(stderr, SD_NOTICE "Removed what was left of a launch in %s/%s\n", m->guests_dir, de->d_name);
                else if (r < 0)
                        fprintf(stderr, SD_WARNING "Ignoring %s/%s: %s\n", m->guests_dir, de->d_name, strerror(-r));
                else
                        log_guest(&g->state, LOG_INFO, "found again, %s", guest_status_to_string(g->state.status));
        }
        closedir(d);
        r = manager_load_domains(m);

        /* The kernel keeps a launch as long as somebody has its descriptor. */
        while (m->n_stored > 0) {
                m->n_stored--;
                m->ops->fd_store(m->stored[m->n_stored].name, -EBADF);
                safe_close(m->stored[m->n_stored].fd);
                free(m->stored[m->n_stored].name);
        }
        return r;
}
