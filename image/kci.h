/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The image format .kci (docs/image.md): a guest as its tenant signed it. Whoever reads one takes it to be an
 * attacker's: sizes are checked before anything is read or allocated, the header has one encoding only, and
 * each way of being wrong has an error of its own. Data are streamed, never held. */

#include <openssl/evp.h>

#include "../libkcore/util.h"

#define KCI_MAGIC "KCOREIMG"
#define KCI_VERSION 1
#define KCI_PREFIX_SIZE 16 /* magic, version, length of the CBOR header */
#define KCI_PAGE 4096
#define KCI_TAG_SIZE 16
#define KCI_HEADER_MAX (64 * KIB) /* prefix included, padding not */
#define KCI_MANIFEST_MAX 4096
#define KCI_NAME_MAX 64
#define KCI_SEGMENTS_MAX 16
#define KCI_RECIPIENTS_MAX 64

typedef enum KciCode {
        KCI_ERROR_NONE,
        KCI_ERROR_IO,          /* the system said no; the message has its words */
        KCI_ERROR_FILE,        /* not a regular file, or not one of this format */
        KCI_ERROR_VERSION,     /* of a later version */
        KCI_ERROR_SIZE,        /* shorter or longer than the header says, or beyond a limit */
        KCI_ERROR_PADDING,     /* a byte that must be zero is not */
        KCI_ERROR_CBOR,        /* not well-formed */
        KCI_ERROR_CANONICAL,   /* not in deterministic encoding: long integers, indefinite lengths, key order */
        KCI_ERROR_DUPLICATE,   /* a key twice in a map */
        KCI_ERROR_TYPE,        /* a value of another type */
        KCI_ERROR_FIELD,       /* a field unknown or missing */
        KCI_ERROR_VALUE,       /* out of range */
        KCI_ERROR_SEGMENT,     /* segments overlap, or are not inside memory */
        KCI_ERROR_BLOCK,       /* the launch block is not well formed, or says something else than the manifest */
        KCI_ERROR_SIGNATURE,   /* a signature is wrong */
        KCI_ERROR_DIGEST,      /* a segment's bytes are not those of the manifest */
        KCI_ERROR_MEASUREMENT, /* the segments do not have the measurement that was signed */
        KCI_ERROR_STATE,       /* signed, unsigned or sealed when it must not be */
        KCI_ERROR_KEY,         /* a key can not be used */
        KCI_ERROR_INPUT,       /* kernel, initrd, command line or UKI can not be used */
        KCI_ERROR_CRYPTO,      /* the crypto library failed */
        _KCI_ERROR_MAX,
} KciCode;

const char *kci_code_to_string(KciCode code);

/* What is wrong, for programs and for people. */
struct kci_error {
        KciCode code;
        char message[256];
};

/* Sets *e (which may be NULL). Returns -EBADMSG, or for KCI_ERROR_IO -errno as it was. */
int kci_fail(struct kci_error *e, KciCode code, const char *format, ...) _printf_(3, 4);
int kci_fail_errno(struct kci_error *e, int error, const char *what); /* error: negative errno; returns it */

typedef enum KciKind {
        KCI_KERNEL = 1,
        KCI_INITRD = 2,
        KCI_DTB = 3,
        _KCI_KIND_MAX,
} KciKind;

const char *kci_kind_to_string(KciKind kind);

struct kci_segment {
        KciKind kind;
        uint64_t ipa;       /* multiple of a page */
        uint64_t length;    /* bytes, at least 1; the last page is filled with zeroes */
        uint8_t digest[32]; /* SHA-256 of the plain pages, filling included */

        /* These follow from the order of the segments. */
        uint64_t pages;
        uint64_t offset; /* of the pages in the file */
        uint64_t tags;   /* of their tags, KCI_TAG_SIZE bytes each; 0 if not sealed */
};

/* What KCore enforces; in the launch block, measured. */
#define KCI_POLICY_DEBUG (UINT64_C(1) << 0)
#define KCI_POLICY_SNAPSHOT (UINT64_C(1) << 1)
#define KCI_POLICY_FLAGS (KCI_POLICY_DEBUG | KCI_POLICY_SNAPSHOT)

struct kci_policy {
        uint64_t flags;
        uint64_t max_vcpus;   /* 1..512 */
        uint64_t max_private; /* granules of protected memory */
        uint64_t max_shared;  /* granules of host pages */
        uint64_t min_version; /* of KCore's ABI: major << 16 | minor */
};

/* The launch block: what KCore takes (docs/abi.md, KCORE_LAUNCH_POLICY). */
#define KCI_BLOCK_SIZE 0x130
#define KCI_BLOCK_SIGNED 0xF0 /* bytes that the signature in it is made over */
#define KCI_BLOCK_MAGIC UINT64_C(0x31434B4C45524F43)
#define KCI_BLOCK_VERSION 1

/* To one platform: the content key by HPKE. */
struct kci_recipient {
        uint8_t key[32]; /* SHA-256 of the platform's X25519 public key */
        uint8_t enc[32];
        uint8_t ct[48];
};

/* A header, checked. */
struct kci_image {
        char name[KCI_NAME_MAX + 1]; /* printable ASCII, for people */
        uint8_t id[32];
        uint32_t vcpus;
        uint64_t memory; /* bytes */
        uint32_t s2sz;
        uint32_t hash_algo; /* of the RIM: KCORE_HASH_* */
        uint64_t entry, x0;
        struct kci_policy policy;
        struct kci_segment segments[KCI_SEGMENTS_MAX];
        size_t n_segments;

        bool is_signed; /* without it the rest of this paragraph is zero */
        uint8_t rim[64];
        uint8_t signer[32];           /* Ed25519 */
        uint8_t block_signature[64];
        uint8_t manifest_signature[64];

        struct kci_recipient recipients[KCI_RECIPIENTS_MAX];
        size_t n_recipients; /* > 0: sealed */

        uint64_t data; /* where the first segment begins: length of the header, up to a page */
        uint64_t size; /* of the file */
};

static inline bool kci_is_sealed(const struct kci_image *i) {
        return i->n_recipients > 0;
}

/* done and total in bytes. Returning < 0 ends the operation with that errno. */
typedef int (*kci_progress_t)(uint64_t done, uint64_t total, void *userdata);

/* --- header.c: bytes and what they mean; no files, no keys --- */

/* The whole header, without padding, of a file of file_size bytes. Everything is checked but signatures and
 * data. UINT64_MAX as file_size: not known, any will do. */
int kci_header_parse(const uint8_t *data, size_t size, uint64_t file_size, struct kci_image *ret, struct kci_error *e);
/* The reverse. Fills in pages, offset, tags of segments, data and size. buf: KCI_HEADER_MAX bytes. */
int kci_header_encode(struct kci_image *i, uint8_t buf[static KCI_HEADER_MAX], size_t *ret_size, struct kci_error *e);

/* The manifest, and the structure of COSE that its signature is made over (RFC 9052, 4.4). */
int kci_manifest_encode(const struct kci_image *i, uint8_t buf[static KCI_MANIFEST_MAX], size_t *ret_size);
int kci_manifest_to_be_signed(const struct kci_image *i, uint8_t buf[static KCI_MANIFEST_MAX], size_t *ret_size);

void kci_block_encode(const struct kci_image *i, uint8_t ret[static KCI_BLOCK_SIZE]);

/* Are the values of i such that KCore, the kernel and kcoresd can launch it? Of parsed ones they are. */
int kci_image_check(const struct kci_image *i, struct kci_error *e);

/* --- reader.c --- */

/* Reads and checks the header of a file, and that the file is as long as it says. */
int kci_read(int fd, struct kci_image *ret, struct kci_error *e);

/* Reads all plain data in order and hands it on: n bytes, a multiple of a page, that belong at byte at of
 * segment k. Digests and filling are checked on the way: DIGEST comes after the data were seen, so nothing that
 * is made of them may be kept then. visit may be NULL. STATE if the image is sealed. */
typedef int (*kci_visit_t)(size_t k, uint64_t at, const uint8_t *data, size_t n, void *userdata, struct kci_error *e);

struct kci_progress {
        kci_progress_t report; /* may be NULL */
        void *userdata;
};

int kci_visit(int fd, const struct kci_image *i, const struct kci_progress *progress, kci_visit_t visit, void *userdata, struct kci_error *e);

/* The filling of a sealed image's tags: all of its data that can be judged without the key. */
int kci_check_sealed(int fd, const struct kci_image *i, struct kci_error *e);

/* Is [offset, offset + size) of fd there? Reads all of it. -EBADMSG if the file is shorter. */
int kci_pread(int fd, void *buf, size_t size, uint64_t offset, struct kci_error *e);
int kci_pwrite(int fd, const void *buf, size_t size, uint64_t offset, struct kci_error *e);

/* --- sign.c --- */

/* Both signatures, by the signer that the image names. STATE if it is not signed. */
int kci_check_signature(const struct kci_image *i, struct kci_error *e);

/* Ed25519 only. PEM; if the file is encrypted, passphrase is asked for it. */
typedef int (*kci_passphrase_t)(char *buf, int size, void *userdata); /* length, or < 0 */
int kci_key_read_private(int fd, kci_passphrase_t passphrase, void *userdata, EVP_PKEY **ret, struct kci_error *e);
int kci_key_read_public(int fd, uint8_t ret[static 32], struct kci_error *e);

/* The measurement that a launch of the segments in fd has. Digests are checked too. */
int kci_measure(int fd, const struct kci_image *i, const struct kci_progress *progress, uint8_t ret_rim[static 64], struct kci_error *e);

/* Writes to out, an empty file, what in is, signed. i becomes the header of that. STATE if in is sealed: its
 * data can not be measured. A signature that is there is replaced. */
int kci_sign(int in, struct kci_image *i, EVP_PKEY *key, int out, const struct kci_progress *progress, struct kci_error *e);

/* --- seal.c --- */

/* Writes to out, an empty file, what in is, sealed to the platforms with these X25519 public keys. in must
 * be signed and plain (STATE); its data are checked on the way. i becomes the header of the sealed one. Each call
 * makes a new content key. */
int kci_seal(int in, struct kci_image *i, const uint8_t (*keys)[32], size_t n_keys, int out, const struct kci_progress *progress, struct kci_error *e);

/* The recipient that is the platform with this identity document. STATE: the image is not sealed to it. */
int kci_find_recipient(const struct kci_image *i, const uint8_t *identity, size_t size, const struct kci_recipient **ret, struct kci_error *e);

/* --- build.c --- */

/* A part of a file. */
struct kci_span {
        int fd; /* < 0: none */
        uint64_t offset, size;
};

struct kci_input {
        const char *name;
        struct kci_span kernel, initrd;
        const char *append; /* may be NULL */
        bool earlycon;
        uint32_t vcpus, hash_algo;
        uint64_t memory;
        struct kci_policy policy; /* max_vcpus, max_private, max_shared: 0 = what vcpus and memory need */
        const uint8_t *id;        /* 32 bytes, or NULL: random */
};

/* Writes an unsigned image to out, an empty file. */
int kci_build(const struct kci_input *in, int out, struct kci_image *ret, const struct kci_progress *progress, struct kci_error *e);

/* --- uki.c --- */

struct kci_uki {
        struct kci_span kernel, initrd, cmdline; /* fd is that of the file; initrd and cmdline may be missing */
};

/* Finds .linux, .initrd and .cmdline in a unified kernel image (UAPI.5), an arm64 PE file. */
int kci_uki_parse(int fd, struct kci_uki *ret, struct kci_error *e);

/* --- output.c: files that appear whole, or not at all --- */

struct kci_output {
        char *path, *directory;
        int fd;
};

#define KCI_OUTPUT_INIT { .fd = -EBADF }

/* mode as for open(2). */
int kci_output_open(struct kci_output *o, const char *path, unsigned mode, struct kci_error *e);
/* Gives it its name, replacing a file of that name if replace, otherwise -EEXIST. */
int kci_output_commit(struct kci_output *o, bool replace, struct kci_error *e);
void kci_output_done(struct kci_output *o);
