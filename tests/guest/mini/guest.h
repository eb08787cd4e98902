/* SPDX-License-Identifier: MIT */
/*
 * L2: its memory, its tables, its state, and what L1 lets it do step by step. Nothing here knows
 * the vendor; vendor.h is the seam.
 *
 * No address means the same at two stages. L2's pages have linear addresses from LIN_CODE on, are
 * at guest-physical GPA_PAGES and on, and lie in the machine from HPA_PAGES on, in another order. A
 * data page holds its machine address | ACE. Where one arrives by leaving out a stage (machine =
 * guest- physical, machine = linear) the pages hold their address | BAD.
 */
#ifndef MINI_GUEST_H
#define MINI_GUEST_H

#include "tables.h"

enum { ACE = 0xace, BAD = 0xbad };

enum {
    LIN_CODE = 0x00c00000,
    LIN_SYSTEM = 0x00c01000, /* IDT, GDT, TSS */
    LIN_STACK = 0x00c02000,
    LIN_NOTHING = 0x00d00000,
    LIN_LARGE = 0x01400000,
    LIN_HIGH = 0x01800000, /* a large page above 4 GiB guest-physical */
    LIN_DATA = 0x01c10000, /* data page k is at LIN_DATA + k pages */
    GPA_PAGES = 0x00800000,
    GPA_LARGE = 0x01000000, /* 4 MiB, in two pieces of 2 MiB that change places */
    HPA_PAGES = 0x02000000,
    HPA_LARGE = 0x02800000,
    PAGES = 256,
};
#define GPA_HIGH BIT(32) /* 4 MiB above 4 GiB, for PSE-36; the same pieces */

enum mode { MODE_REAL, MODE_FLAT, MODE_32, MODE_PAE, MODE_64 };
extern const char *const mode_names[];
enum mode l2_last_mode(void); /* that L1 can run, from MODE_32 on */

/* Segments in the order of the VMCS. ar: bits as in descriptors, 16 for unusable. */
enum { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };
enum { UNUSABLE = 0x10000 };
struct segment {
    u16 selector;
    u32 limit, ar;
    u64 base;
};

/* Why L2 came back, in common terms, and as the vendor reports it. */
enum why { WHY_CALL, WHY_SECOND_STAGE, WHY_PAGE_FAULT, WHY_OTHER, WHY_NOT_ENTERED };
enum { READ = 1, WRITE = 2, FETCH = 4 };
struct exit {
    enum why why;
    u64 reason; /* exit reason; exit code */
    u64 qualification; /* exit qualification; EXITINFO1 */
    u32 access; /* of a second-stage fault: READ, WRITE, FETCH */
    u32 error; /* error code of a page fault that L1 intercepts, at `linear` */
    bool in_tables; /* it was the address of one of L2's tables */
    u64 gpa, linear;
    u32 length, info; /* instruction length and information */
};

struct l2 {
    enum mode mode;
    u32 cpl;
    struct tables own, second;
    u64 code, code_linear; /* its code: guest-physical; where it runs */
    /*
     * L1 has no second stage for this guest: it shows L2's tables to nobody, and gives the
     * processor `shadow` instead, in the same format but with machine addresses, filled at page
     * faults.
     */
    bool shadowed;
    struct tables shadow;

    word reg[REGS]; /* RSP is below */
    u64 rip, rsp, rflags;
    u64 cr0, cr3, cr4, efer;
    u64 pdpte[4]; /* of PAE paging, as loaded by MOV CR3 */
    struct segment seg[SEGMENTS];
    u64 gdt_base, idt_base;
    u32 gdt_limit, idt_limit;
    u32 activity; /* 0 active */
    bool reload; /* more than RIP, RSP, RFLAGS and reg has changed */

    struct exit exit;
    void *vendor; /* the vendor's */
};

void l2_memory_init(void);
/* A new guest with code, tables and DATA_PAGES data pages, ready to run at CPL 0. */
enum { DATA_PAGES = 8 };
void l2_new(struct l2 *l2, enum mode mode);
/* Runs this guest without a second stage from now on. */
void l2_shadow(struct l2 *l2);
/* A guest whose state is L1's own, as it is now; without memory yet. */
void l2_as_l1(struct l2 *l2);
/* State as at the beginning, in a mode for which l2->own has been built. */
void l2_reset(struct l2 *l2, enum mode mode, u32 cpl);
/* The next page of L2: returns its guest-physical address. No two guests of a part share one. */
u64 l2_page(struct l2 *l2);
void l2_pages_free(void);
/* Where a guest-physical address is; NULL if the second stage maps nothing there. */
void *l2_at(void *l2, u64 gpa);
u64 hpa_of(const struct l2 *l2, u64 gpa);
/* Makes a machine page a data page that says who it is. */
void name_page(u64 hpa);
/* Machine page number n that belongs to L2's range. */
u64 hpa_number(u32 n);

/* What a step of L2 came to. FAULTED: it took an exception, without an exit. */
enum outcome { DONE, FAULTED, SECOND_STAGE, OTHER };
extern const char l2_code[], l2_code_end[], l2_fault[];
extern const char l2_read[], l2_write[], l2_call[], l2_load_cr3[], l2_invlpg[], l2_vmfunc[];
enum outcome l2_step(struct l2 *l2, const char *stub, u64 linear, u32 value);
u32 l2_vector(const struct l2 *l2);
/* What the handler's stack has after an event at this CPL: the RIP that it returns to. */
u64 l2_return_rip(struct l2 *l2, u32 cpl);
/* As a step that reads: the value, or 0 if it was not read. */
u32 l2_value(struct l2 *l2, u64 linear);
/* Its page fault: the error code and address that its handler saw. */
bool l2_page_fault(const struct l2 *l2, enum outcome outcome, u32 error, u64 linear);
/* The guest-physical address of a data page. */
u64 l2_gpa(struct l2 *l2, u64 linear);
/* Is this what a page says that is at guest-physical gpa now? */
bool l2_named(struct l2 *l2, u32 value, u64 gpa);
/* The entry of the second stage for a 4 KiB page, and setting one followed by the vendor's flush.
 */
u64 l2_second_get(struct l2 *l2, u64 gpa);
void l2_second_set(struct l2 *l2, u64 gpa, u64 value);
/* Moves what is at gpa to another machine page, clears the old one, changes the second stage. */
void l2_move(struct l2 *l2, u64 gpa);
/* Other code for L2, instead of a stub, for l2_step(). */
enum { OTHER_CODE = 0x800 };
const char *l2_put_code(struct l2 *l2, const void *bytes, u32 length);
/* Shows the way of an address through both stages; what L2 reads there is checked. */
void l2_explain(struct l2 *l2, u64 linear);

/* Exits by name, since the last exits_print(). */
void exits_count(const char *name);
void exits_print(void);

#endif
