/* SPDX-License-Identifier: MIT */
/* Between the parts of the audit: mmu/shadow/audit*.c. */
#ifndef MMU_SHADOW_AUDIT_H
#define MMU_SHADOW_AUDIT_H

#include "mmu/shadow/shadow_impl.h"

struct audit {
    struct shadow *shadow;
    u32 number; /* of the invariant being checked */
    char *report;
    size_t size;
};

/* A check: true, or a report and false. */
typedef bool (*audit_check)(struct audit *a);
typedef bool (*audit_page_check)(struct audit *a, const struct shadow_page *page, u32 index);

/* Fill the report with the number and the rest of the line. Always false. */
__attribute__((format(printf, 2, 3))) bool audit_broken(struct audit *a, const char *format, ...);
/* The frame behind a guest-physical address, or ~0: no RAM or ROM. */
u64 audit_frame_at(const struct audit *a, u64 gpa, bool smm);
/* The domain with a number, or 0: its pages are out of reach. */
u32 audit_domain(const struct audit *a, u32 number);
/* The leaf that the shadow of a domain's second stage has for a nested-physical address, if all
 * pages on the way know of the domain; else 0. */
u64 audit_second(const struct audit *a, u32 domain, u64 at);

/* Entries: I1, I2, I6, I20. */
bool audit_synced_leaves(struct audit *a, const struct shadow_page *page, u32 index);
bool audit_unsync_leaves(struct audit *a, const struct shadow_page *page, u32 index);
bool audit_children(struct audit *a, const struct shadow_page *page, u32 index);
bool audit_pieces(struct audit *a, const struct shadow_page *page, u32 index);

/* Contexts: I16 to I19. */
bool audit_roots_weak(struct audit *a);
bool audit_roots_true(struct audit *a);
bool audit_roots_of_registers(struct audit *a);
bool audit_roots_quadrants(struct audit *a);
/* Soft TLBs: I22, I21, I12, I14. */
bool audit_level2(struct audit *a);
bool audit_level1(struct audit *a);
bool audit_no_devices(struct audit *a);
bool audit_writes_found(struct audit *a);
bool audit_writes_unwatched(struct audit *a);

#endif
