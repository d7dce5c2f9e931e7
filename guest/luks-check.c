/* SPDX-License-Identifier: Apache-2.0 */
#include "../attest/kbs/json-strict.h"
#include "luks.h"

#define CIPHER "aes-xts-plain64"
#define KEY_BYTES 64 /* AES-256, twice */
#define ARGON2_MEMORY_MAX (1024 * 1024) /* KiB */
#define ARGON2_TIME_MAX 64
#define PBKDF2_ITERATIONS_MAX 100000000

static bool is(sd_json_variant *v, const char *key, const char *value) {
        return streq(strempty(json_string(v, key)), value);
}

/* The member of that name, if it is an object; NULL otherwise, also for NULL. */
static sd_json_variant *object(sd_json_variant *v, const char *key) {
        sd_json_variant *o = v ? sd_json_variant_by_key(v, key) : NULL;

        return o && sd_json_variant_is_object(o) ? o : NULL;
}

/* The one element of an object that must have exactly one, an object itself. */
static sd_json_variant *only(sd_json_variant *v, const char **ret_name) {
        sd_json_variant *e;

        if (!v || sd_json_variant_elements(v) != 2)
                return NULL;
        e = sd_json_variant_by_index(v, 1);
        *ret_name = sd_json_variant_string(sd_json_variant_by_index(v, 0));
        return sd_json_variant_is_object(e) ? e : NULL;
}

static bool number_in(sd_json_variant *v, const char *key, uint64_t min, uint64_t max) {
        sd_json_variant *e = sd_json_variant_by_key(v, key);

        return e && sd_json_variant_is_unsigned(e) && sd_json_variant_unsigned(e) >= min && sd_json_variant_unsigned(e) <= max;
}

/* [name], and nothing else. */
static bool names(sd_json_variant *v, const char *key, const char *name) {
        sd_json_variant *l = sd_json_variant_by_key(v, key), *e;

        if (!l || !sd_json_variant_is_array(l) || sd_json_variant_elements(l) != 1)
                return false;
        e = sd_json_variant_by_index(l, 0);
        return sd_json_variant_is_string(e) && streq(sd_json_variant_string(e), name);
}

static bool is_hash(sd_json_variant *v) {
        return is(v, "hash", "sha256") || is(v, "hash", "sha512");
}

/* NULL, or what is wrong. */
static const char *check_segment(sd_json_variant *s) {
        uint64_t offset;

        /* linear: not encrypted */
        if (!is(s, "type", "crypt"))
                return "its segment is not encrypted";
        if (!is(s, "encryption", CIPHER))
                return "its data cipher is not " CIPHER;
        if (sd_json_variant_by_key(s, "integrity") || sd_json_variant_by_key(s, "flags"))
                return "its segment has integrity or flags";
        if (!is(s, "size", "dynamic") || !is(s, "iv_tweak", "0") ||
            (!number_in(s, "sector_size", 512, 512) && !number_in(s, "sector_size", 4096, 4096)))
                return "its segment has an unusual layout";
        if (parse_unsigned(strempty(json_string(s, "offset")), 64 * MIB, &offset) < 0 || offset < MIB || offset % 4096)
                return "its data begins at an unusual place";
        return NULL;
}

/* NULL, or what is wrong. */
static const char *check_keyslot(sd_json_variant *k) {
        sd_json_variant *area = object(k, "area"), *af = object(k, "af"), *kdf = object(k, "kdf");

        if (!area || !af || !kdf || !is(k, "type", "luks2"))
                return "its key slot is of an unknown kind";
        /* With a null cipher here, any key opens the slot. */
        if (!is(area, "type", "raw") || !is(area, "encryption", CIPHER) || !number_in(area, "key_size", KEY_BYTES, KEY_BYTES))
                return "its key slot is not encrypted with " CIPHER " and 512 bits";
        if (!number_in(k, "key_size", KEY_BYTES, KEY_BYTES))
                return "its volume key has not 512 bits";
        if (!is(af, "type", "luks1") || !is_hash(af) || !number_in(af, "stripes", 4000, 4000))
                return "its key slot is split in an unusual way";
        if (is(kdf, "type", "argon2id")) {
                if (!number_in(kdf, "time", 1, ARGON2_TIME_MAX) || !number_in(kdf, "memory", 8, ARGON2_MEMORY_MAX) ||
                    !number_in(kdf, "cpus", 1, 64))
                        return "its key derivation has an unusual cost";
        } else if (is(kdf, "type", "pbkdf2")) {
                if (!is_hash(kdf) || !number_in(kdf, "iterations", 1000, PBKDF2_ITERATIONS_MAX))
                        return "its key derivation has an unusual hash or cost";
        } else
                return "its key derivation is neither argon2id nor PBKDF2";
        return NULL;
}

/* NULL, or what is wrong. */
static const char *check_digest(sd_json_variant *d, const char *keyslot, const char *segment) {
        if (!is(d, "type", "pbkdf2") || !is_hash(d) || !number_in(d, "iterations", 1000, PBKDF2_ITERATIONS_MAX))
                return "its digest is of an unknown kind";
        if (!names(d, "keyslots", keyslot) || !names(d, "segments", segment))
                return "its digest is not of its key slot and its segment";
        return NULL;
}

int luks_check(const char *json, size_t size, const char **ret_reason) {
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *keyslot, *segment, *digest, *config;
        const char *keyslot_name, *segment_name, *digest_name, *wrong;
        int r;

        r = json_parse_strict(json, size, LUKS_METADATA_MAX, &v, ret_reason);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        segment = only(object(v, "segments"), &segment_name);
        keyslot = only(object(v, "keyslots"), &keyslot_name);
        digest = only(object(v, "digests"), &digest_name);
        config = object(v, "config");
        wrong = !segment ? "it has not exactly one segment" :
                !keyslot ? "it has not exactly one key slot" :
                !digest  ? "it has not exactly one digest" :
                !config  ? "it has no configuration" :
                sd_json_variant_by_key(config, "requirements") ? "it has requirements" :
                sd_json_variant_by_key(config, "flags")        ? "it has flags" :
                                                                 NULL;
        wrong = wrong ?: check_segment(segment);
        wrong = wrong ?: check_keyslot(keyslot);
        wrong = wrong ?: check_digest(digest, keyslot_name, segment_name);
        if (wrong) {
                *ret_reason = wrong;
                return -EPERM;
        }
        return 0;
}
