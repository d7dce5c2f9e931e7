/* SPDX-License-Identifier: Apache-2.0 */
#include "kbs-client.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <time.h>

#include "../attest/kbs/json-strict.h"
#include "../attest/kbs/jwe.h"

#define TIMEOUT_SECONDS 30L
#define DETAIL_MAX 300

struct reply {
        char body[KBS_BODY_MAX];
        size_t size;
        bool too_long, bad_cookie;
        char session[KBS_SESSION_MAX + 1];
};

struct client {
        const struct kbs_broker *broker;
        CURL *curl;
        struct reply reply;
        char session[KBS_SESSION_MAX + 1];
        char error[CURL_ERROR_SIZE];
        char **reason;
};

/* Sets the reason once; what comes from outside is made printable. */
static int fail(struct client *c, int r, const char *format, ...) _printf_(3, 4);
static int fail(struct client *c, int r, const char *format, ...) {
        va_list ap;

        if (*c->reason)
                return r;
        va_start(ap, format);
        if (vasprintf(c->reason, format, ap) < 0)
                *c->reason = NULL;
        va_end(ap);
        for (char *p = *c->reason; p && *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        *p = '?';
        return r;
}

int kbs_parse_challenge(const char *json, size_t size, char ret_nonce[static KBS_NONCE_MAX + 1], const char **ret_reason) {
        _cleanup_json_ sd_json_variant *v = NULL;
        const char *nonce;
        int r;

        r = json_parse_strict(json, size, KBS_BODY_MAX, &v, ret_reason);
        if (r < 0)
                return r;
        nonce = json_string(v, "nonce");
        if (!nonce || strlen(nonce) < 16 || strlen(nonce) > KBS_NONCE_MAX) {
                *ret_reason = "the broker's challenge has no nonce of a sensible length";
                return -EBADMSG;
        }
        for (const char *p = nonce; *p; p++)
                if (*p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\') {
                        *ret_reason = "the broker's nonce has a character that JSON must escape";
                        return -EBADMSG;
                }
        memcpy(ret_nonce, nonce, strlen(nonce) + 1);
        return 0;
}

int kbs_parse_cookie(const char *line, size_t size, char ret[static KBS_SESSION_MAX + 1]) {
        static const char header[] = "Set-Cookie:", name[] = KBS_COOKIE "=";
        size_t i = sizeof(header) - 1, n = 0;

        if (size < i || strncasecmp(line, header, i) != 0)
                return -ENOENT;
        while (i < size && line[i] == ' ')
                i++;
        if (size - i < sizeof(name) - 1 || memcmp(line + i, name, sizeof(name) - 1) != 0)
                return -ENOENT;
        i += sizeof(name) - 1;
        for (; i < size && !strchr("; \r\n", line[i]); i++) {
                /* cookie-octet of RFC 6265 */
                if (line[i] <= 0x20 || line[i] > 0x7e || strchr("\",\\", line[i]) || n == KBS_SESSION_MAX)
                        return -EBADMSG;
                ret[n++] = line[i];
        }
        ret[n] = 0;
        return n > 0 ? 0 : -EBADMSG;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
        struct reply *reply = userdata;
        char session[KBS_SESSION_MAX + 1];
        int r = kbs_parse_cookie(data, size * n, session);

        if (r == 0)
                memcpy(reply->session, session, sizeof(session));
        else if (r == -EBADMSG)
                reply->bad_cookie = true;
        return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        struct reply *reply = userdata;

        n *= size;
        if (n > sizeof(reply->body) - reply->size) {
                reply->too_long = true;
                return 0;
        }
        memcpy(reply->body + reply->size, data, n);
        reply->size += n;
        return n;
}

/* The guest has no clock that its host does not set: whether a certificate is within its time says nothing,
 * and without a clock at all it would never be. What is trusted is named by the measured image. */
static CURLcode on_tls(CURL *curl _unused_, void *ctx, void *userdata _unused_) {
        X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

        return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME) == 1 ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

static int set_options(struct client *c) {
        CURL *h = c->curl;
        CURLcode r = CURLE_OK;

        r = r ?: curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
        r = r ?: curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
        r = r ?: curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
        r = r ?: curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        r = r ?: curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
        r = r ?: curl_easy_setopt(h, CURLOPT_PROXY, "");
        r = r ?: curl_easy_setopt(h, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        r = r ?: curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L);
        r = r ?: curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
        r = r ?: curl_easy_setopt(h, CURLOPT_CAINFO, c->broker->ca_file);
        r = r ?: curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
        r = r ?: curl_easy_setopt(h, CURLOPT_SSL_CTX_FUNCTION, on_tls);
        r = r ?: curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 10L);
        r = r ?: curl_easy_setopt(h, CURLOPT_TIMEOUT, TIMEOUT_SECONDS);
        r = r ?: curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
        r = r ?: curl_easy_setopt(h, CURLOPT_HEADERDATA, &c->reply);
        r = r ?: curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
        r = r ?: curl_easy_setopt(h, CURLOPT_WRITEDATA, &c->reply);
        return r == CURLE_OK ? 0 : -EIO;
}

/* What the broker says of its refusal. */
static int refused(struct client *c, const char *what, long status) {
        _cleanup_json_ sd_json_variant *v = NULL;
        const char *detail = NULL, *ignored;

        if (json_parse_strict(c->reply.body, c->reply.size, KBS_BODY_MAX, &v, &ignored) == 0)
                detail = json_string(v, "detail");
        return fail(c, -EACCES, "the broker refuses %s (HTTP status %ld)%s%.*s", what, status, detail ? ": " : "", DETAIL_MAX, strempty(detail));
}

/* One request. path is below KBS_PREFIX; body NULL means GET. what: for messages. */
static int request(struct client *c, const char *what, const char *path, const char *body) {
        _cleanup_free_ char *url = NULL, *cookie = NULL;
        struct curl_slist *headers = NULL;
        uint64_t end = now_usec(CLOCK_MONOTONIC) + c->broker->wait_seconds * USEC_PER_SEC;
        const char *type = NULL;
        long status = 0;
        CURLcode r;

        if (asprintf(&url, "%s" KBS_PREFIX "%s", c->broker->url, path) < 0 ||
            (c->session[0] && asprintf(&cookie, KBS_COOKIE "=%s", c->session) < 0))
                return -ENOMEM;
        headers = curl_slist_append(NULL, "Content-Type: application/json");
        if (!headers)
                return -ENOMEM;
        r = curl_easy_setopt(c->curl, CURLOPT_URL, url);
        r = r ?: curl_easy_setopt(c->curl, CURLOPT_COOKIE, cookie);
        r = r ?: curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
        r = r ?: curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
        if (body) {
                r = r ?: curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
                r = r ?: curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long) strlen(body));
                r = r ?: curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
        }
        while (r == CURLE_OK) {
                c->reply = (struct reply) {};
                r = curl_easy_perform(c->curl);
                /* Only what may pass by itself: a network that comes up, a broker that starts. */
                if ((r != CURLE_COULDNT_CONNECT && r != CURLE_COULDNT_RESOLVE_HOST) || now_usec(CLOCK_MONOTONIC) >= end)
                        break;
                (void) sleep(1);
                r = CURLE_OK;
        }
        curl_slist_free_all(headers);
        (void) curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
        if (c->reply.too_long)
                return fail(c, -EBADMSG, "the broker's answer to %s is too long", what);
        if (r != CURLE_OK)
                return fail(c, -ENOTCONN, "%s: %s: %s%s", what, c->broker->url,
                            r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CONNECT_ERROR ? "TLS: " : "",
                            c->error[0] ? c->error : curl_easy_strerror(r));
        (void) curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status != 200)
                return refused(c, what, status);
        (void) curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
        if (!type || strncasecmp(type, "application/json", strlen("application/json")) != 0)
                return fail(c, -EBADMSG, "the broker's answer to %s is no JSON by its content type", what);
        if (c->reply.bad_cookie)
                return fail(c, -EBADMSG, "the broker's cookie is malformed");
        if (c->reply.session[0])
                memcpy(c->session, c->reply.session, sizeof(c->session));
        return 0;
}

/* Canonical order is not needed here: the digest is over what kbs_challenge writes. */
static char *attestation(const char *nonce, const struct p256_public *public, const uint8_t *token, size_t size) {
        _cleanup_free_ char *key = kbs_public_key_json(public), *bytes = malloc(size * 4 + 1);
        char *s, *p = bytes;

        if (!key || !bytes)
                return NULL;
        *p = 0;
        for (size_t i = 0; i < size; i++)
                p += sprintf(p, i ? ",%u" : "%u", token[i]);
        if (asprintf(
                            &s,
                            "{\"runtime-data\":{\"nonce\":\"%s\",\"tee-pubkey\":%s},\"tee-evidence\":{\"primary_evidence\":"
                            "{\"token\":[%s]},\"additional_evidence\":\"\"}}",
                            nonce, key, bytes) < 0)
                return NULL;
        return s;
}

static int check_settings(struct client *c) {
        static const char https[] = "https://";
        const char *url = c->broker->url, *p = c->broker->resource;
        size_t n = strlen(url);

        if (strncmp(url, https, strlen(https)) != 0 || n > 300 || n == strlen(https) ||
            strspn(url + strlen(https), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-[]") != n - strlen(https))
                return fail(c, -EINVAL, "the broker's address is not https://HOST or https://HOST:PORT");
        for (unsigned i = 0; i < 3; i++) {
                char part[KBS_NAME_MAX + 1];
                size_t k = strcspn(p, "/");

                if (k > KBS_NAME_MAX)
                        k = 0;
                memcpy(part, p, k);
                part[k] = 0;
                if (!kbs_name_is_valid(part) || p[k] != (i < 2 ? '/' : 0))
                        return fail(c, -EINVAL, "the resource is not REPOSITORY/TYPE/TAG");
                p += k + 1;
        }
        return 0;
}

static int run(struct client *c, kbs_token_t token, void *userdata, struct secret *ret) {
        _cleanup_free_ char *body = NULL, *path = NULL;
        _cleanup_pkey_ EVP_PKEY *key = NULL;
        uint8_t challenge[KBS_CHALLENGE_SIZE], evidence[KBS_EVIDENCE_MAX];
        char nonce[KBS_NONCE_MAX + 1];
        const char *reason = "internal error";
        struct p256_public public;
        size_t size;
        int r;

        r = check_settings(c);
        r = r ?: set_options(c);
        r = r ?: p256_generate(&key);
        r = r ?: p256_export(key, &public);
        r = r ?: request(c, "a session", "auth", "{\"version\":\"" KBS_VERSION "\",\"tee\":\"" KBS_TEE "\",\"extra-params\":{}}");
        if (r < 0)
                return r;
        r = kbs_parse_challenge(c->reply.body, c->reply.size, nonce, &reason);
        if (r < 0)
                return fail(c, r == -ENOMEM ? r : -EBADMSG, "%s", reason);
        if (!c->session[0])
                return fail(c, -EBADMSG, "the broker gave no session");

        r = kbs_challenge(nonce, "", &public, challenge);
        if (r < 0)
                return r;
        r = token(userdata, challenge, evidence, sizeof(evidence), &size, &reason);
        if (r < 0)
                return fail(c, r, "%s", reason);
        body = attestation(nonce, &public, evidence, size);
        if (!body)
                return -ENOMEM;
        r = request(c, "the attestation", "attest", body);
        if (r < 0)
                return r;

        if (asprintf(&path, "resource/%s", c->broker->resource) < 0)
                return -ENOMEM;
        r = request(c, "the resource", path, NULL);
        if (r < 0)
                return r;
        r = jwe_open(key, c->reply.body, c->reply.size, ret, &reason);
        return r < 0 ? fail(c, r == -ENOMEM ? r : -EBADMSG, "%s", reason) : 0;
}

int kbs_fetch(const struct kbs_broker *broker, kbs_token_t token, void *userdata, struct secret *ret, char **ret_reason) {
        struct client *c = calloc(1, sizeof(*c));
        int r;

        *ret_reason = NULL;
        if (!c)
                return -ENOMEM;
        c->broker = broker;
        c->reason = ret_reason;
        c->curl = curl_easy_init();
        r = c->curl ? run(c, token, userdata, ret) : -ENOMEM;
        curl_easy_cleanup(c->curl);
        OPENSSL_cleanse(c, sizeof(*c));
        free(c);
        return r;
}
