/* SPDX-License-Identifier: Apache-2.0 */
#include "broker.h"

#include <stdarg.h>
#include <time.h>

#include "evidence.h"
#include "json-strict.h"
#include "jwe.h"
#include "jwt.h"

#define REASONS_MAX 1024 /* characters of the reasons for which references refuse a guest */

void broker_refuse(
                struct broker *b,
                const struct broker_request *rq,
                unsigned status,
                const char *type,
                const char *detail,
                struct broker_response *ret) {

        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *full = NULL;

        (void) audit_write(
                        &b->audit, &(struct audit_event) {
                                           .event = "refuse", .peer = rq->peer, .session = rq->session,
                                           .subject = rq->path, .reason = detail,
                                   });
        free(ret->body);
        *ret = (struct broker_response) { .status = status };
        if (asprintf(&full, KBS_ERROR_PREFIX "%s", type) < 0) {
                full = NULL;
                return;
        }
        if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("type", full), SD_JSON_BUILD_PAIR_STRING("detail", detail)) >= 0)
                (void) sd_json_variant_format(v, 0, &ret->body);
}

static void internal_error(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        broker_refuse(b, rq, 500, "InternalError", "internal error", ret);
}

static bool is_json(const char *content_type) {
        size_t n = strlen("application/json");

        return content_type && strncasecmp(content_type, "application/json", n) == 0 &&
                (content_type[n] == 0 || content_type[n] == ';' || content_type[n] == ' ');
}

/* The body as a JSON object; answers the request itself if it is none. */
static sd_json_variant *parse_body(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        sd_json_variant *v = NULL;
        const char *reason;
        int r;

        if (!is_json(rq->content_type)) {
                broker_refuse(b, rq, 415, "SerdeError", "the content type is not application/json", ret);
                return NULL;
        }
        r = json_parse_strict(rq->body, rq->body_size, KBS_BODY_MAX, &v, &reason);
        if (r < 0) {
                broker_refuse(b, rq, r == -EMSGSIZE ? 413 : 400, "SerdeError", reason, ret);
                return NULL;
        }
        if (!sd_json_variant_is_object(v)) {
                broker_refuse(b, rq, 400, "SerdeError", "the body is no JSON object", ret);
                sd_json_variant_unref(v);
                return NULL;
        }
        return v;
}

/* A session for a guest that says it is one. */
static void handle_auth(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        _cleanup_json_ sd_json_variant *v = parse_body(b, rq, ret), *reply = NULL;
        struct session *s;
        int r;

        if (!v)
                return;
        if (!streq(strempty(json_string(v, "version")), KBS_VERSION)) {
                broker_refuse(b, rq, 401, "AttestationError", "the protocol version is not " KBS_VERSION, ret);
                return;
        }
        if (!streq(strempty(json_string(v, "tee")), KBS_TEE)) {
                broker_refuse(b, rq, 401, "AttestationError", "the TEE is not " KBS_TEE, ret);
                return;
        }
        r = sessions_new(&b->sessions, rq->now, &s);
        if (r == -EAGAIN) {
                broker_refuse(b, rq, 503, "AttestationError", "too many sessions", ret);
                return;
        }
        if (r < 0 ||
            audit_write(&b->audit, &(struct audit_event) {
                                           .event = "challenge", .peer = rq->peer, .session = s->id, .granted = true }) < 0 ||
            sd_json_buildo(&reply, SD_JSON_BUILD_PAIR_STRING("nonce", s->nonce), SD_JSON_BUILD_PAIR_STRING("extra-params", "")) < 0 ||
            sd_json_variant_format(reply, 0, &ret->body) < 0) {
                internal_error(b, rq, ret);
                return;
        }
        ret->status = 200;
        memcpy(ret->session, s->id, sizeof(s->id));
        ret->session_usec = b->sessions.challenge_usec;
}

/* The request's session; answers the request itself if there is none. */
static struct session *find_session(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        struct session *s;
        int r;

        if (!rq->session) {
                broker_refuse(b, rq, 401, "TokenNotFound", "no cookie " KBS_COOKIE, ret);
                return NULL;
        }
        r = sessions_find(&b->sessions, rq->session, rq->now, &s);
        if (r < 0) {
                broker_refuse(
                                b, rq, 401, "TokenNotFound", r == -ETIME ? "the session has expired" : "there is no such session",
                                ret);
                return NULL;
        }
        return s;
}

static inline void evidence_freep(struct evidence **e) {
        evidence_free(*e);
}

struct attestation {
        const char *nonce, *additional;
        struct p256_public public;
        uint8_t token[KBS_EVIDENCE_MAX];
        size_t token_size;
};

static int coordinate(sd_json_variant *key, const char *name, uint8_t out[static P256_SIZE]) {
        const char *s = json_string(key, name);
        size_t n;

        return s && base64url_decode(s, strlen(s), out, P256_SIZE, &n) == 0 && n == P256_SIZE ? 0 : -EBADMSG;
}

/* NULL, or what is wrong. */
static const char *parse_public_key(sd_json_variant *key, struct p256_public *ret) {
        _cleanup_pkey_ EVP_PKEY *check = NULL;

        if (!key || !sd_json_variant_is_object(key))
                return "runtime-data has no tee-pubkey";
        /* Others than these five would be under the digest that the token carries in Trustee's broker, but not here. */
        if (sd_json_variant_elements(key) != 10 || !streq(strempty(json_string(key, "kty")), "EC") ||
            !streq(strempty(json_string(key, "crv")), "P-256") ||
            !streq(strempty(json_string(key, "alg")), "ECDH-ES+A256KW"))
                return "tee-pubkey is no P-256 key for ECDH-ES+A256KW";
        if (coordinate(key, "x", ret->x) < 0 || coordinate(key, "y", ret->y) < 0 || p256_import(ret, &check) < 0)
                return "tee-pubkey is no point of the curve P-256";
        return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_token(sd_json_variant *evidence, struct attestation *ret) {
        sd_json_variant *primary, *token;
        size_t n;

        primary = sd_json_variant_by_key(evidence, "primary_evidence");
        token = primary && sd_json_variant_is_object(primary) ? sd_json_variant_by_key(primary, "token") : NULL;
        if (!token || !sd_json_variant_is_array(token))
                return "primary_evidence has no token";
        n = sd_json_variant_elements(token);
        if (n == 0 || n > sizeof(ret->token))
                return "the token is empty or too long";
        for (size_t i = 0; i < n; i++) {
                sd_json_variant *e = sd_json_variant_by_index(token, i);

                if (!sd_json_variant_is_unsigned(e) || sd_json_variant_unsigned(e) > 255)
                        return "the token is no array of bytes";
                ret->token[i] = (uint8_t) sd_json_variant_unsigned(e);
        }
        ret->token_size = n;
        return NULL;
}

/* NULL, or what is wrong. */
static const char *parse_attestation(sd_json_variant *v, struct attestation *ret) {
        sd_json_variant *runtime = sd_json_variant_by_key(v, "runtime-data"), *evidence = sd_json_variant_by_key(v, "tee-evidence"),
                        *init = sd_json_variant_by_key(v, "init-data");

        if (init && !sd_json_variant_is_null(init))
                return "init-data is not supported";
        if (!runtime || !sd_json_variant_is_object(runtime))
                return "there is no runtime-data";
        if (!evidence || !sd_json_variant_is_object(evidence))
                return "there is no tee-evidence";
        ret->nonce = json_string(runtime, "nonce");
        if (!ret->nonce)
                return "runtime-data has no nonce";
        ret->additional = json_string(evidence, "additional_evidence");
        if (!ret->additional || (!streq(ret->additional, "") && !streq(ret->additional, "{}")))
                return "additional_evidence is neither \"\" nor \"{}\"";
        return parse_public_key(sd_json_variant_by_key(runtime, "tee-pubkey"), &ret->public) ?: parse_token(evidence, ret);
}

static int append(char **list, const char *format, ...) _printf_(2, 3);
static int append(char **list, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        char *longer;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }
        if (asprintf(&longer, "%s%s%s", strempty(*list), *list ? "; " : "", text) < 0)
                return -ENOMEM;
        free(*list);
        *list = longer;
        return 0;
}

/* Asks every reference. 1 if one accepts: *ret_repositories are those of the ones that do, *ret_text names
 * them. 0 if none does, and *ret_text says why. */
static int appraise(struct broker *b, const struct attestation *a, char ***ret_repositories, char **ret_text) {
        _cleanup_(store_files_free) struct store_files platforms = {}, refs = {};
        _cleanup_strv_free_ char **repositories = NULL;
        _cleanup_free_ char *accepted = NULL, *refused = NULL;
        _cleanup_(evidence_freep) struct evidence *e = NULL;
        uint8_t challenge[KBS_CHALLENGE_SIZE];
        int r;

        r = kbs_challenge(a->nonce, a->additional, &a->public, challenge);
        r = r ?: store_platforms(b->platforms_fd, &platforms);
        r = r ?: store_references(b->references_fd, &refs);
        if (r < 0)
                return r;
        if (platforms.n == 0 || refs.n == 0) {
                *ret_text = strdup("the broker knows no platform, or has no reference values");
                return *ret_text ? 0 : -ENOMEM;
        }
        r = evidence_new(a->token, a->token_size, &platforms, &e, ret_text);
        if (r <= 0)
                return r == -EINVAL ? 0 : r;
        for (size_t i = 0; i < refs.n; i++) {
                const struct store_file *ref = &refs.items[i];
                _cleanup_free_ char *reason = NULL;
                size_t n = strv_length(repositories);

                r = evidence_appraise(e, ref, challenge, &reason);
                if (r < 0 && r != -EINVAL)
                        return r;
                if (r <= 0)
                        r = append(&refused, "%s/%s: %s", ref->repository, ref->name, strempty(reason));
                else {
                        r = append(&accepted, "%s/%s", ref->repository, ref->name);
                        if (r == 0 && (n == 0 || !streq(repositories[n - 1], ref->repository)))
                                r = strv_extend(&repositories, ref->repository);
                }
                if (r < 0)
                        return r;
        }
        if (refused && strlen(refused) > REASONS_MAX)
                strcpy(refused + REASONS_MAX - 3, "...");
        *ret_text = accepted ? TAKE_PTR(accepted) : TAKE_PTR(refused);
        *ret_repositories = TAKE_PTR(repositories);
        return *ret_repositories != NULL;
}

static int make_token(struct broker *b, const struct attestation *a, char **repositories, const char *references, char **ret) {
        _cleanup_json_ sd_json_variant *v = NULL, *key = NULL;
        _cleanup_free_ char *text = NULL, *key_text = kbs_public_key_json(&a->public);
        uint64_t now = (uint64_t) time(NULL);
        int r;

        if (!key_text)
                return -ENOMEM;
        r = sd_json_parse(key_text, 0, &key, NULL, NULL);
        if (r >= 0)
                r = sd_json_buildo(
                                &v, SD_JSON_BUILD_PAIR_STRING("iss", b->issuer), SD_JSON_BUILD_PAIR_UNSIGNED("iat", now),
                                SD_JSON_BUILD_PAIR_UNSIGNED("exp", now + b->sessions.attested_usec / USEC_PER_SEC),
                                SD_JSON_BUILD_PAIR_VARIANT("tee-pubkey", key), SD_JSON_BUILD_PAIR_STRING("tee", KBS_TEE),
                                SD_JSON_BUILD_PAIR_STRING("references", references),
                                SD_JSON_BUILD_PAIR_STRV("repositories", repositories));
        if (r >= 0)
                r = sd_json_variant_format(v, 0, &text);
        return r < 0 ? r : jwt_sign(b->token_key, text, ret);
}

static void handle_attest(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        _cleanup_json_ sd_json_variant *v = NULL, *reply = NULL;
        _cleanup_strv_free_ char **repositories = NULL;
        _cleanup_free_ char *references = NULL, *token = NULL;
        _cleanup_free_ struct attestation *a = calloc(1, sizeof(*a));
        char nonce[SESSION_NONCE_SIZE + 1];
        struct session *s;
        const char *wrong;
        bool fresh;
        int r;

        if (!a) {
                internal_error(b, rq, ret);
                return;
        }
        s = find_session(b, rq, ret);
        if (!s)
                return;
        /* One attempt for a nonce: what follows either ends the session or makes it an attested one. */
        fresh = s->state == SESSION_CHALLENGED;
        memcpy(nonce, s->nonce, sizeof(nonce));
        if (!fresh) {
                session_end(s);
                broker_refuse(b, rq, 401, "AttestationError", "the nonce of this session was used before", ret);
                return;
        }
        v = parse_body(b, rq, ret);
        if (!v) {
                session_end(s);
                return;
        }
        wrong = parse_attestation(v, a);
        if (!wrong && (strlen(a->nonce) != strlen(nonce) || CRYPTO_memcmp(a->nonce, nonce, strlen(nonce)) != 0))
                wrong = "the nonce is not the one of this session";
        if (wrong) {
                session_end(s);
                broker_refuse(b, rq, 401, "AttestationError", wrong, ret);
                return;
        }
        r = appraise(b, a, &repositories, &references);
        if (r < 0) {
                session_end(s);
                internal_error(b, rq, ret);
                return;
        }
        if (r == 0) {
                session_end(s);
                broker_refuse(b, rq, 401, "AttestationError", references, ret);
                return;
        }
        r = make_token(b, a, repositories, references, &token);
        if (r < 0 ||
            audit_write(&b->audit, &(struct audit_event) { .event = "attest", .peer = rq->peer, .session = s->id,
                                                           .granted = true, .subject = references }) < 0 ||
            sd_json_buildo(&reply, SD_JSON_BUILD_PAIR_STRING("token", token)) < 0 ||
            sd_json_variant_format(reply, 0, &ret->body) < 0) {
                session_end(s);
                internal_error(b, rq, ret);
                return;
        }
        session_attested(&b->sessions, s, rq->now, &a->public, TAKE_PTR(repositories));
        ret->status = 200;
        memcpy(ret->session, s->id, sizeof(s->id));
        ret->session_usec = b->sessions.attested_usec;
}

static void handle_resource(struct broker *b, const struct broker_request *rq, const char *name, struct broker_response *ret) {
        _cleanup_free_ char *copy = strdup(name);
        _cleanup_secret_ struct secret plain = {};
        char *part[3] = {}, *save = NULL;
        struct session *s;
        bool may = false;
        size_t n = 0;
        int r;

        if (!copy) {
                internal_error(b, rq, ret);
                return;
        }
        for (char *p = copy; n < 3 && p; n++) {
                part[n] = p;
                p = strchr(p, '/');
                if (p)
                        *p++ = 0;
                save = p;
        }
        if (n != 3 || save || !kbs_name_is_valid(part[0]) || !kbs_name_is_valid(part[1]) || !kbs_name_is_valid(part[2])) {
                broker_refuse(b, rq, 404, "InvalidRequestPath", "a resource is REPOSITORY/TYPE/TAG", ret);
                return;
        }
        s = find_session(b, rq, ret);
        if (!s)
                return;
        if (s->state != SESSION_ATTESTED) {
                broker_refuse(b, rq, 401, "TokenNotFound", "the session is not attested", ret);
                return;
        }
        for (char **p = s->repositories; *p; p++)
                may = may || streq(*p, part[0]);
        if (!may) {
                broker_refuse(b, rq, 401, "PolicyDeny", "this guest may not read that repository", ret);
                return;
        }
        r = store_resource(b->resources_fd, part[0], part[1], part[2], &plain);
        if (r == -ENOENT || r == -ENOTDIR) {
                broker_refuse(b, rq, 404, "PluginInternalError", "there is no such resource", ret);
                return;
        }
        if (r >= 0)
                r = jwe_seal(&s->public, plain.data, plain.size, &ret->body);
        if (r < 0 ||
            audit_write(&b->audit, &(struct audit_event) { .event = "resource", .peer = rq->peer, .session = s->id,
                                                           .granted = true, .subject = name }) < 0) {
                internal_error(b, rq, ret);
                return;
        }
        ret->status = 200;
}

void broker_handle(struct broker *b, const struct broker_request *rq, struct broker_response *ret) {
        static const char resource[] = KBS_PREFIX "resource/";
        bool post = streq(rq->method, "POST"), get = streq(rq->method, "GET");

        *ret = (struct broker_response) {};
        if (rq->body_size > KBS_BODY_MAX)
                broker_refuse(b, rq, 413, "SerdeError", "the body is too long", ret);
        else if (streq(rq->path, KBS_PREFIX "auth") && post)
                handle_auth(b, rq, ret);
        else if (streq(rq->path, KBS_PREFIX "attest") && post)
                handle_attest(b, rq, ret);
        else if (strncmp(rq->path, resource, strlen(resource)) == 0 && get)
                handle_resource(b, rq, rq->path + strlen(resource), ret);
        else
                broker_refuse(b, rq, 404, "InvalidRequestPath", "there is no such request", ret);
}
