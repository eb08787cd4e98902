/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include "vendor.h"

const char *const mode_names[] = {"real mode", "protected mode without paging", "32-bit, CR4.PAE=0",
                                  "32-bit, PAE", "64-bit"};

enum { SYSTEM_GDT = 0x800, SYSTEM_TSS = 0xc00 };

/* Entries of L2's GDT; the first four are as L1's. */
enum { SEL_USER_CODE32 = 0x33, SEL_USER_DATA = 0x3b, SEL_USER_CODE64 = 0x43 };

/* Flags of the data pages in L2's own tables. */
static const u64 data_flags[DATA_PAGES] = {P | W | U, P | W,     P | U,     P | W | U,
                                           P | W | U, P | W | U, P | W | U, P | W | U};

enum mode l2_last_mode(void)
{
    return L1_64 || vendor->wide_guests ? MODE_64 : MODE_PAE;
}

u64 hpa_number(u32 n)
{
    return HPA_PAGES + ((n * 37 + 11) % PAGES) * PAGE;
}

void name_page(u64 hpa)
{
    u32 *page = (u32 *)(word)hpa;

    page[0] = (u32)hpa | ACE;
    /* for l2_call, at 16: mov $name, %eax; ret */
    page[4] = 0xb8u | page[0] << 8;
    page[5] = page[0] >> 24 | 0xc300;
}

void l2_memory_init(void)
{
    static const struct {
        u32 start, pages;
    } wrong[] = {{GPA_PAGES, PAGES}, {LIN_DATA, DATA_PAGES}, {GPA_LARGE, 1024}, {LIN_LARGE, 2048}};

    for (u32 i = 0; i < ARRAY_SIZE(wrong); i++)
        for (u32 k = 0; k < wrong[i].pages; k++)
            *(u32 *)(word)(wrong[i].start + k * PAGE) = (wrong[i].start + k * PAGE) | BAD;
    for (u32 k = 0; k < 1024; k++)
        name_page(HPA_LARGE + k * PAGE);
}

static u32 pages_used;

void l2_pages_free(void)
{
    pages_used = 0;
}

u64 l2_page(struct l2 *l2)
{
    const u64 gpa = GPA_PAGES + pages_used * PAGE, hpa = hpa_number(pages_used);

    must(pages_used < PAGES, "there is memory left for L2");
    pages_used++;
    memset((void *)(word)hpa, 0, PAGE);
    tables_map(&l2->second, gpa, hpa, 12, vendor->second_rwx);
    return gpa;
}

static u64 own_page(void *l2)
{
    return l2_page(l2);
}

u64 hpa_of(const struct l2 *l2, u64 gpa)
{
    struct walk w;

    tables_walk(&l2->second, gpa, &w);
    return w.mapped ? w.to : 0;
}

void *l2_at(void *l2, u64 gpa)
{
    return (void *)(word)hpa_of(l2, gpa);
}

static void map_large_pieces(struct l2 *l2, u64 gpa)
{
    if (l2->second.format == &format_32) {
        tables_map(&l2->second, gpa, HPA_LARGE, 22, vendor->second_rwx);
        return;
    }
    tables_map(&l2->second, gpa, HPA_LARGE + 0x200000, 21, vendor->second_rwx);
    tables_map(&l2->second, gpa + 0x200000, HPA_LARGE, 21, vendor->second_rwx);
}

static void map_own_large(struct l2 *l2, u64 linear, u64 gpa)
{
    if (l2->own.format == &format_32) {
        tables_map(&l2->own, linear, gpa, 22, P | W | U);
        return;
    }
    tables_map(&l2->own, linear, gpa, 21, P | W | U);
    tables_map(&l2->own, linear + 0x200000, gpa + 0x200000, 21, P | W | U);
}

/* IDT, GDT and TSS, by the mode's formats; in L2's memory, which L1 sees at `page`. */
static void fill_system_page(u8 *page, enum mode mode)
{
    const bool wide = mode == MODE_64;
    u64 *gates = (u64 *)page, *descriptors = (u64 *)(page + SYSTEM_GDT);
    const u64 base = LIN_SYSTEM + SYSTEM_TSS;

    for (u32 i = 0; i < 32; i++) {
        const u64 to = LIN_CODE + (u64)(l2_fault - l2_code) + i * 16;
        const u64 dpl = i == 3 || i == 4 || i == 31 ? 3 : 0; /* INT3, INTO, INT 31 */

        gates[wide ? 2 * i : i] = (to & 0xffff) | (wide ? SEL_CODE64 : SEL_CODE32) << 16 |
                                  (to & 0xffff0000) << 32 | (0x8e | dpl << 5) << 40;
        if (wide)
            gates[2 * i + 1] = 0;
    }
    memcpy(descriptors, gdt, 4 * 8);
    descriptors[4] = 103 | (base & 0xffffff) << 16 | 0x8bull << 40 | (base >> 24) << 56;
    descriptors[5] = 0;
    for (u32 i = 0; i < 3; i++) /* code, data, 64-bit code of the user */
        descriptors[6 + i] = gdt[1 + i] | 0x60ull << 40;
    *(u32 *)(page + SYSTEM_TSS + 4) = LIN_STACK + PAGE - 64; /* ESP0, RSP0 */
    *(u32 *)(page + SYSTEM_TSS + 8) = wide ? 0 : SEL_DATA;
}

static void set_segments(struct l2 *l2)
{
    const bool user = l2->cpl == 3, wide = l2->mode == MODE_64, real = l2->mode == MODE_REAL;
    const u16 code =
        wide ? (user ? SEL_USER_CODE64 : SEL_CODE64) : (user ? SEL_USER_CODE32 : SEL_CODE32);
    const struct segment data = {user ? SEL_USER_DATA : SEL_DATA, 0xffffffff,
                                 user ? 0xc0f3 : 0xc093, 0};

    for (u32 i = ES; i <= GS; i++)
        l2->seg[i] = real ? (struct segment){0, 0xffff, 0x93, 0} : data;
    l2->seg[CS] =
        real ? (struct segment){0, 0xffff, 0x9b, 0}
             : (struct segment){code, 0xffffffff, (wide ? 0xa09b : 0xc09b) | l2->cpl << 5, 0};
    l2->seg[LDTR] = (struct segment){0, 0, UNUSABLE, 0};
    l2->seg[TR] = (struct segment){SEL_TSS, 103, 0x8b, LIN_SYSTEM + SYSTEM_TSS};
    l2->reload = true;
}

void l2_reset(struct l2 *l2, enum mode mode, u32 cpl)
{
    l2->mode = mode;
    l2->cpl = cpl;
    l2->cr0 = CR0_NE | CR0_ET | CR0_WP;
    l2->cr0 |= mode >= MODE_FLAT ? CR0_PE : 0;
    l2->cr0 |= mode >= MODE_32 ? CR0_PG : 0;
    l2->cr3 = l2->shadowed ? l2->shadow.root : l2->own.root;
    l2->code_linear = mode >= MODE_32 ? LIN_CODE : l2->code;
    l2->cr4 = mode >= MODE_PAE ? CR4_PAE : CR4_PSE;
    l2->efer = mode == MODE_64 ? EFER_LME | EFER_LMA | EFER_NXE : mode == MODE_PAE ? EFER_NXE : 0;
    if (mode == MODE_PAE)
        memcpy(l2->pdpte, l2_at(l2, l2->own.root), sizeof(l2->pdpte));
    l2->gdt_base = LIN_SYSTEM + SYSTEM_GDT;
    l2->gdt_limit = 9 * 8 - 1;
    l2->idt_base = mode == MODE_REAL ? 0 : LIN_SYSTEM;
    l2->idt_limit = mode == MODE_REAL ? 0x3ff : mode == MODE_64 ? 32 * 16 - 1 : 32 * 8 - 1;
    set_segments(l2);
}

void l2_new(struct l2 *l2, enum mode mode)
{
    u64 system, stack;

    memset(l2, 0, sizeof(*l2));
    tables_new_machine(&l2->second, vendor->second_format());
    l2->own = (struct tables){mode == MODE_64    ? &format_long
                              : mode == MODE_PAE ? &format_pae
                                                 : &format_32,
                              0, own_page, l2_at, l2};
    l2->code = l2_page(l2);
    memcpy(l2_at(l2, l2->code), l2_code, (size_t)(l2_code_end - l2_code));
    system = l2_page(l2);
    fill_system_page(l2_at(l2, system), mode);
    stack = l2_page(l2);
    tables_new(&l2->own);
    tables_map(&l2->own, LIN_CODE, l2->code, 12, P | W | U);
    tables_map(&l2->own, l2->code, l2->code, 12, P | W | U); /* to switch paging on in it */
    tables_map(&l2->own, LIN_SYSTEM, system, 12, P | W);
    tables_map(&l2->own, LIN_STACK, stack, 12, P | W | U);
    for (u32 i = 0; i < DATA_PAGES; i++) {
        const u64 gpa = l2_page(l2);

        name_page(hpa_of(l2, gpa));
        tables_map(&l2->own, LIN_DATA + i * PAGE, gpa, 12, data_flags[i]);
    }
    map_large_pieces(l2, GPA_LARGE);
    map_own_large(l2, LIN_LARGE, GPA_LARGE);
    map_own_large(l2, LIN_HIGH, GPA_HIGH);
    if (format_is_wide(l2->second.format))
        map_large_pieces(l2, GPA_HIGH);
    l2_reset(l2, mode, 0);
    vendor->create(l2);
}

void l2_shadow(struct l2 *l2)
{
    l2->shadowed = true;
    tables_new_machine(&l2->shadow, l2->own.format);
    l2_reset(l2, l2->mode, l2->cpl);
    vendor->create(l2);
}

/* L2 touched what `shadow` does not map: L1 fills it, or it is a fault by L2's own tables. */
static void shadow_page_fault(struct l2 *l2)
{
    const u64 page = l2->exit.linear & ~(u64)(PAGE - 1);
    struct walk w;
    u64 flags;

    tables_walk(&l2->own, page, &w);
    flags = w.step[w.steps - 1].value & (P | W | U | (l2->efer & EFER_NXE ? NX : 0));
    if (!w.mapped || (l2->exit.error & P) != 0)
        vendor->inject(l2, 14, l2->exit.error);
    else
        tables_map(&l2->shadow, page, hpa_of(l2, w.to), 12, flags);
}

enum outcome l2_step(struct l2 *l2, const char *stub, u64 linear, u32 value)
{
    l2->rip = l2->code_linear + (u64)(stub - l2_code);
    l2->rsp = LIN_STACK + PAGE - 16;
    l2->rflags = 2;
    l2->reg[RAX] = value;
    l2->reg[RSI] = (word)linear;
    l2->reg[RDI] = 0;
    vendor->run(l2);
    while (l2->exit.why == WHY_PAGE_FAULT) {
        shadow_page_fault(l2);
        vendor->run(l2);
    }
    if (l2->exit.why == WHY_SECOND_STAGE)
        return SECOND_STAGE;
    if (l2->exit.why != WHY_CALL)
        return OTHER;
    if (l2->reg[RDI] == 0)
        return DONE;
    set_segments(l2); /* the fault may have changed the privilege */
    return FAULTED;
}

const char *l2_put_code(struct l2 *l2, const void *bytes, u32 length)
{
    memcpy(l2_at(l2, l2->code + OTHER_CODE), bytes, length);
    return l2_code + OTHER_CODE;
}

u32 l2_vector(const struct l2 *l2)
{
    return (u32)l2->reg[RDI] - 1;
}

u64 l2_return_rip(struct l2 *l2, u32 cpl)
{
    const u64 top = cpl == 3 ? LIN_STACK + PAGE - 64 : LIN_STACK + PAGE - 16;
    const char *end = l2_at(l2, l2_gpa(l2, LIN_STACK));

    if (l2->mode == MODE_64)
        return *(const u64 *)(end + ((top & ~15ull) - LIN_STACK) - 40);
    return *(const u32 *)(end + (top - LIN_STACK) - (cpl == 3 ? 20 : 12));
}

u32 l2_value(struct l2 *l2, u64 linear)
{
    return l2_step(l2, l2_read, linear, 0) == DONE ? (u32)l2->reg[RAX] : 0;
}

bool l2_page_fault(const struct l2 *l2, enum outcome outcome, u32 error, u64 linear)
{
    return outcome == FAULTED && l2_vector(l2) == 14 && (u32)l2->reg[RDX] == error &&
           l2->reg[RBX] == linear;
}

u64 l2_gpa(struct l2 *l2, u64 linear)
{
    struct walk w;

    tables_walk(&l2->own, linear, &w);
    return w.mapped ? w.to : 0;
}

bool l2_named(struct l2 *l2, u32 value, u64 gpa)
{
    return value == (u32)(hpa_of(l2, gpa) & ~(u64)(PAGE - 1)) + ACE;
}

u64 l2_second_get(struct l2 *l2, u64 gpa)
{
    return entry_get(l2->second.format, tables_entry(&l2->second, gpa, 12));
}

void l2_second_set(struct l2 *l2, u64 gpa, u64 value)
{
    entry_set(l2->second.format, tables_entry(&l2->second, gpa, 12), value);
    vendor->flush(l2);
}

void l2_move(struct l2 *l2, u64 gpa)
{
    void *old = l2_at(l2, gpa & ~(u64)(PAGE - 1));
    const u64 to = hpa_number(pages_used++);

    must(pages_used <= PAGES, "there is memory left for L2");
    memcpy((void *)(word)to, old, PAGE);
    memset(old, 0, PAGE);
    l2_second_set(l2, gpa, to | vendor->second_rwx);
}

/* One line: a guest-physical address through the second stage. Returns the machine address. */
static u64 explain_second(const struct l2 *l2, u64 gpa, const char *indent)
{
    struct walk w;

    tables_walk(&l2->second, gpa, &w);
    print("%s%s:", indent, vendor->second_name);
    for (u32 i = 0; i < w.steps; i++)
        print(" %s[%u] = %llx,", w.step[i].level, w.step[i].index, w.step[i].value);
    if (w.mapped)
        print(" so machine %08llx\n", w.to);
    else
        print(" so it exits\n");
    return w.to;
}

void l2_explain(struct l2 *l2, u64 linear)
{
    const u32 got = l2_value(l2, linear);
    struct walk w;
    u64 hpa;

    print("  L2 reads linear %08llx. %s; CR3 = guest-physical %08llx.\n", linear,
          l2->own.format->name, l2->cr3);
    tables_walk(&l2->own, linear, &w);
    for (u32 i = 0; i < w.steps; i++) {
        const struct step *step = &w.step[i];
        const bool last = i + 1 == w.steps;

        print("    %s entry %u is at guest-physical %08llx\n", step->level, step->index, step->at);
        explain_second(l2, step->at, "      ");
        if (i == 0 && l2->mode == MODE_PAE && vendor->pdpte_registers)
            print("      (read when CR3 was loaded; since then in a register)\n");
        print("      and holds %llx: %s guest-physical %08llx\n", step->value,
              last ? "the page is at" : "the next table is at",
              (last ? w.to & ~(BIT(w.shift) - 1) : w.step[i + 1].at & ~(u64)(PAGE - 1)));
    }
    print("    The address is guest-physical %08llx\n", w.to);
    hpa = explain_second(l2, w.to, "      ");
    if ((got & 0xfff) == BAD)
        print("    L2 got %08x: a page that says \"wrong\": %s\n", got,
              (got ^ w.to) < PAGE ? "the second stage was skipped" : "both stages were skipped");
    check(got == (u32)((hpa & ~(u64)(PAGE - 1)) | ACE),
          "mode=%s lin=%08llx gpa=%08llx hpa=%08llx, read %08x", mode_names[l2->mode], linear, w.to,
          hpa, got);
}

void l2_as_l1(struct l2 *l2)
{
    struct descriptor_table gdtr, idtr;

    memset(l2, 0, sizeof(*l2));
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    for (u32 i = 0; i < SEGMENTS; i++)
        l2->seg[i] = (struct segment){SEL_DATA, 0xffffffff, 0xc093, 0};
    l2->seg[CS] =
        (struct segment){L1_64 ? SEL_CODE64 : SEL_CODE32, 0xffffffff, L1_64 ? 0xa09b : 0xc09b, 0};
    l2->seg[LDTR] = (struct segment){0, 0, UNUSABLE, 0};
    l2->seg[TR] =
        (struct segment){SEL_TSS, 103, 0x8b, (gdt[4] >> 16 & 0xffffff) | gdt[4] >> 56 << 24};
    l2->gdt_base = gdtr.base;
    l2->gdt_limit = gdtr.limit;
    l2->idt_base = idtr.base;
    l2->idt_limit = idtr.limit;
    l2->cr0 = CR_GET(0);
    l2->cr3 = CR_GET(3);
    l2->cr4 = CR_GET(4);
    l2->efer = rdmsr(MSR_EFER);
    memcpy(l2->pdpte, l1_pdpt, sizeof(l2->pdpte));
}

static struct {
    const char *name;
    u32 count;
} counts[64];

void exits_count(const char *name)
{
    for (u32 i = 0; i < ARRAY_SIZE(counts); i++)
        if (counts[i].name == NULL || counts[i].name == name) {
            counts[i].name = name;
            counts[i].count++;
            return;
        }
}

void exits_print(void)
{
    if (counts[0].name == NULL)
        return;
    print("  exits:");
    for (u32 i = 0; i < ARRAY_SIZE(counts) && counts[i].name != NULL; i++)
        print("%s%u %s",
              i == 0       ? " "
              : i % 6 == 0 ? ",\n    "
                           : ", ",
              counts[i].count, counts[i].name);
    print("\n");
    memset(counts, 0, sizeof(counts));
}
