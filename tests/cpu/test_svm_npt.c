/* SPDX-License-Identifier: MIT */
/*
 * Nested paging with every paging mode of L1 above every one of L2: APM Vol 2 15.25. L1's mode says
 * what the nested entries look like: 4 bytes in 32-bit paging, else 8. L2's linear address, its
 * physical address and the machine's are all different, and so are the places of its tables; what
 * would be read if a stage were left out is BAD.
 */
#include "tests/cpu/svm_guest.h"

enum mode { MODE_UNPAGED, MODE_32, MODE_PAE, MODE_4LEVEL, MODE_5LEVEL, MODES };

enum {
    HOST_PAGES = 0x58000, /* L1's tables in 32-bit and PAE mode, and its PML5 */
    NESTED = 0x70000, /* nested tables, the root first */
    LINEAR = 0x301000,
    GUEST_PAGE = 0x102000, /* where L2's tables lead */
    MACHINE_PAGE = 0x202000, /* where the nested tables lead */
    GUEST_TABLES = 0x110000, /* guest-physical; at TABLES in the machine */
    TABLES = 0x210000,
    MAGIC = 0x13579bdf,
    BAD = 0x0bad0bad,
    PTE = 7, /* present, writable, user */
    A_D = 0x60,
};

struct way {
    enum mode host, guest;
    const struct shadow_options *engine;
};

static struct way way;

static u32 entry_bytes(enum mode mode)
{
    return mode == MODE_32 ? 4 : 8;
}

/* Physical address in the machine of the nested entry for a guest page below 2 MiB. */
static u64 nested_entry(u64 gpa)
{
    static const u8 table[MODES] = {
        [MODE_32] = 1, [MODE_PAE] = 2, [MODE_4LEVEL] = 3, [MODE_5LEVEL] = 4};

    return NESTED + 0x1000u * table[way.host] + (gpa >> 12) * entry_bytes(way.host);
}

/* A chain of tables from `root` on whose last one maps the lowest 2 MiB; pde: of the root in PAE
 * mode, where it has no rights. */
static void chain(u64 root, u64 seen, enum mode mode, u64 rights)
{
    const u32 levels = mode == MODE_32 ? 1 : mode == MODE_PAE ? 2 : mode == MODE_4LEVEL ? 3 : 4;

    for (u32 i = 0; i < levels; i++) {
        const bool pdpte = mode == MODE_PAE && i == 0;

        put_value(root + 0x1000u * i, (seen + 0x1000u * (i + 1)) | (pdpte ? 1 : rights),
                  entry_bytes(mode));
    }
}

/* Guest-physical 1 MiB to 1.25 MiB is 2 MiB to 2.25 MiB of the machine, the rest below is itself.
 */
static void write_nested(void)
{
    chain(NESTED, NESTED, way.host, PTE);
    for (u64 gpa = 0; gpa < 0x200000; gpa += 0x1000) {
        const bool moved = gpa >= 0x100000 && gpa < 0x140000;

        put_value(nested_entry(gpa), gpa + (moved ? 0x100000 : 0) + PTE, entry_bytes(way.host));
    }
}

/* L2's own: the lowest 1 MiB to itself, and LINEAR. */
static void write_guest_tables(void)
{
    static const u8 last[MODES] = {
        [MODE_32] = 1, [MODE_PAE] = 2, [MODE_4LEVEL] = 3, [MODE_5LEVEL] = 4};
    const u32 bytes = entry_bytes(way.guest);
    const u64 table = TABLES + 0x1000u * last[way.guest];

    if (way.guest == MODE_UNPAGED)
        return;
    chain(TABLES, GUEST_TABLES, way.guest, PTE);
    for (u64 la = 0; la < 0x100000; la += 0x1000)
        put_value(table + (la >> 12) * bytes, la | PTE, bytes);
    if (way.guest != MODE_32) /* the next 2 MiB have a table of their own */
        put_value(table - 0x1000 + 8, (GUEST_TABLES + 0x1000u * (last[way.guest] + 1u)) | PTE, 8);
    put_value(table + (LINEAR >> 12) * bytes, GUEST_PAGE | PTE, bytes);
}

/* L1's paging is an identity map in its mode. */
static void start_host(void)
{
    if (way.host >= MODE_4LEVEL)
        guest_long();
    else
        guest_protected();
    switch (way.host) {
    case MODE_32:
        put_value(HOST_PAGES, 0x87, 4);
        v->state.cr4 |= CR4_PSE;
        v->state.cr3 = HOST_PAGES;
        break;
    case MODE_PAE:
        put_value(HOST_PAGES, (HOST_PAGES + 0x1000) | 1, 8);
        put_value(HOST_PAGES + 0x1000, 0x87, 8);
        put_value(HOST_PAGES + 0x1008, 0x200087, 8);
        v->state.cr4 |= CR4_PAE;
        v->state.cr3 = HOST_PAGES;
        break;
    case MODE_5LEVEL:
        put_value(HOST_PAGES, PML4 | PTE, 8);
        v->state.cr4 |= CR4_LA57;
        v->state.cr3 = HOST_PAGES;
        break;
    default: break;
    }
    v->state.efer |= EFER_SVME;
    v->event.kind = EVENT_NONE;
    ck_assert(cr0_write(v, v->state.cr0 | CR0_PG));
}

static void start_guest(void)
{
    enum { CODE32 = 0xc9b, CODE64 = 0xa9b };
    const bool wide = way.guest >= MODE_4LEVEL;

    valid_vmcb();
    control.ncr3 = NESTED;
    save.cr0 = CR0_PE | CR0_ET | (way.guest == MODE_UNPAGED ? 0 : CR0_PG);
    save.cr3 = GUEST_TABLES;
    save.cr4 = (way.guest >= MODE_PAE ? CR4_PAE : 0) | (way.guest == MODE_5LEVEL ? CR4_LA57 : 0);
    save.efer = EFER_SVME | (wide ? EFER_LME | EFER_LMA : 0);
    save.cs = (struct vmcb_segment){8, wide ? CODE64 : CODE32, ~0u, 0};
    save.rax = way.guest == MODE_UNPAGED ? GUEST_PAGE : LINEAR;
    put(L2_CODE, "\x8b\x18\x89\x58\x04\x0f\x01\xd9",
        8); /* mov ebx,[rax]; mov [rax+4],ebx; vmmcall */
}

static void create_way(struct way wanted)
{
    way = wanted;
    engine = way.engine;
    guest_create("amd-max");
    start_host();
    write_nested();
    write_guest_tables();
    start_guest();
    put_value(MACHINE_PAGE, MAGIC, 4);
    put_value(GUEST_PAGE, BAD, 4);
    put_value(LINEAR, BAD, 4);
}

static void create(int number)
{
    static const struct shadow_options shadow = {.sync = SYNC_STRICT};
    static const struct shadow_options combined = {.sync = SYNC_STRICT, .combined = true};
    static const struct shadow_options *const engines[] = {NULL, &shadow, &combined};

    create_way((struct way){.host = (enum mode)(MODE_32 + number % 4),
                            .guest = (enum mode)(number / 4 % MODES),
                            .engine = engines[number / 4 / MODES]});
}

enum { WAYS = 4 * MODES * 3 };

static void audit(void)
{
    char report[256] = "";

    if (engine != NULL) {
        struct shadow *shadow = memory_shadow(memory);

        ck_assert_msg(shadow_audit(shadow, report, sizeof(report)), "%s", report);
        ck_assert_uint_eq(shadow_stats(shadow)->sync_role_mismatch, 0);
    }
    guest_destroy();
    engine = NULL;
}

START_TEST(both_stages_are_walked_in_their_own_formats)
{
    create(_i);
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC);
    ck_assert_uint_eq(get(MACHINE_PAGE + 4, 4), MAGIC);
    ck_assert_uint_eq(get(GUEST_PAGE + 4, 4), 0);
    ck_assert_uint_eq(get(nested_entry(GUEST_PAGE), 4) & A_D, A_D);
    if (way.guest != MODE_UNPAGED) /* a guest's table is written, as far as its own table goes */
        ck_assert_uint_eq(get(nested_entry(GUEST_TABLES), 4) & A_D, A_D);
    audit();
}
END_TEST

/* Each time round L1 maps the page to another frame; the 4-byte tables too are seen at once. */
START_TEST(changed_nested_entry_counts_from_the_next_vmrun)
{
    create(_i);
    for (u32 round = 0; round < 8; round++) {
        const u64 frame = 0x230000 + 0x1000u * round;

        put_value(frame, MAGIC + round, 4);
        put_value(nested_entry(GUEST_PAGE), frame | PTE, entry_bytes(way.host));
        save.rip = L2_CODE;
        vmrun();
        run_more(3);
        expect_exit(SVM_EXIT_VMMCALL);
        ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC + round);
        ck_assert_uint_eq(get(frame + 4, 4), MAGIC + round);
        save.rax = way.guest == MODE_UNPAGED ? GUEST_PAGE : LINEAR;
        v->state.reg[REG_RIP] = CODE;
    }
    audit();
}
END_TEST

START_TEST(missing_nested_entry_is_npf_of_its_guest_address)
{
    create(_i);
    put_value(nested_entry(GUEST_PAGE), 0, entry_bytes(way.host));
    vmrun();
    run_more(1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 4);
    ck_assert_uint_eq(control.exit_info2, GUEST_PAGE);
    if (way.guest != MODE_UNPAGED) {
        put_value(nested_entry(GUEST_TABLES), 0, entry_bytes(way.host));
        vmrun();
        run_more(1);
        expect_exit(SVM_EXIT_NPF);
        ck_assert_uint_eq(control.exit_info1, (u64)2 << 32 | 6);
        ck_assert_uint_ge(control.exit_info2, GUEST_TABLES);
        ck_assert_uint_lt(control.exit_info2, GUEST_TABLES + 0x1000);
    }
    audit();
}
END_TEST

/* A 32-bit hypervisor's nested tables reach 4 GiB. */
START_TEST(guest_address_beyond_a_32_bit_nested_table_is_npf)
{
    const u64 beyond = (u64)1 << 32 | GUEST_PAGE;

    create(_i);
    if (way.guest >= MODE_PAE) {
        const u64 table = TABLES + 0x1000u * (way.guest - MODE_PAE + 2);

        put_value(table + (LINEAR >> 12) * 8, beyond | PTE, 8);
        vmrun();
        run_more(1);
        expect_exit(SVM_EXIT_NPF);
        ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 4);
        ck_assert_uint_eq(control.exit_info2, beyond);
    }
    audit();
}
END_TEST

/* T54: under the lazy policy a change waits for a flush: TLB_CONTROL 1, 3 or 7, another ASID,
 * INVLPGA (APM Vol 2 15.16). What is not flushed may be old or new. */
START_TEST(a_flush_of_any_kind_ends_what_is_stale)
{
    enum { OTHER_ASID = 3, INVLPGA = 4 };
    static const struct shadow_options lazy = {.sync = SYNC_LAZY};
    static const u8 tlb_control[] = {1, 3, 7, 0, 0};

    create_way((struct way){MODE_4LEVEL, MODE_4LEVEL, &lazy});
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    put_value(0x230000, MAGIC + 1, 4);
    put_value(nested_entry(GUEST_PAGE), 0x230000 | PTE, 8);
    control.tlb_control = tlb_control[_i];
    control.asid = _i == OTHER_ASID ? 2 : 1;
    if (_i == INVLPGA) {
        v->state.reg[REG_RAX] = LINEAR;
        v->state.reg[REG_RCX] = control.asid;
        v->state.reg[REG_RIP] = CODE;
        RUN("\x0f\x01\xdf", 1);
    }
    v->state.reg[REG_RIP] = CODE;
    save.rip = L2_CODE;
    save.rax = LINEAR;
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC + 1);
    audit();
}
END_TEST

/* Bits of L1 that say nothing about nested pages. */
START_TEST(wp_and_smap_of_the_host_do_not_count)
{
    create(_i);
    v->state.cr0 &= ~CR0_WP;
    v->state.cr4 |= CR4_SMAP;
    mode_update(v);
    put_value(nested_entry(GUEST_PAGE), MACHINE_PAGE | 5, entry_bytes(way.host));
    vmrun();
    run_more(2);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 7);
    audit();
}
END_TEST

/* Guest mode execute trap: APM Vol 2 15.25.13. L2's code page is first a user page of the nested
 * tables, then not. */
START_TEST(supervisor_code_in_nested_user_pages_is_npf_under_gmet)
{
    create(_i);
    control.np_control |= NP_GMET;
    vmrun();
    run_more(1);
    expect_exit(SVM_EXIT_NPF);
    ck_assert_uint_eq(control.exit_info1, (u64)1 << 32 | 0x11);
    ck_assert_uint_eq(control.exit_info2, L2_CODE);
    ck_assert_uint_eq(control.bytes_fetched, 0);
    put_value(nested_entry(L2_CODE), L2_CODE | 3, entry_bytes(way.host));
    v->state.reg[REG_RIP] = CODE;
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC);
    audit();
}
END_TEST

START_TEST(user_code_runs_from_any_nested_page_under_gmet)
{
    enum { DPL3 = 0x60 };

    create(_i);
    control.np_control |= NP_GMET;
    save.cpl = 3;
    save.cs.selector |= 3;
    save.cs.attr |= DPL3;
    save.ss.attr |= DPL3;
    for (u32 round = 0; round < 2; round++) {
        put_value(nested_entry(L2_CODE), L2_CODE | (round == 0 ? PTE : 3), entry_bytes(way.host));
        put_value(MACHINE_PAGE, MAGIC + round, 4);
        save.rip = L2_CODE;
        save.rax = way.guest == MODE_UNPAGED ? GUEST_PAGE : LINEAR;
        v->state.reg[REG_RIP] = CODE;
        vmrun();
        run_more(3);
        expect_exit(SVM_EXIT_VMMCALL);
        ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC + round);
    }
    audit();
}
END_TEST

START_TEST(a_processor_without_gmet_ignores_its_bit)
{
    create(_i);
    v->features[F_GMET / 64] &= ~BIT(F_GMET % 64);
    control.np_control |= NP_GMET;
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    audit();
}
END_TEST

/* The same page as a table of 4-byte entries, then of 8-byte ones. */
START_TEST(nested_tables_are_read_anew_when_the_host_changes_its_mode)
{
    create(_i);
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    way.host = MODE_PAE;
    write_nested();
    put_value(HOST_PAGES, (HOST_PAGES + 0x1000) | 1, 8);
    put_value(HOST_PAGES + 0x1000, 0x87, 8);
    put_value(HOST_PAGES + 0x1008, 0x200087, 8);
    ck_assert(cr4_write(v, v->state.cr4 | CR4_PAE));
    put_value(MACHINE_PAGE, MAGIC + 1, 4);
    v->state.reg[REG_RIP] = CODE;
    save.rip = L2_CODE;
    save.rax = way.guest == MODE_UNPAGED ? GUEST_PAGE : LINEAR;
    vmrun();
    run_more(3);
    expect_exit(SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->state.reg[REG_RBX], MAGIC + 1);
    audit();
}
END_TEST

/* #VMEXIT reads the host's PDPTEs: APM Vol 2 15.6. */
START_TEST(bad_pdpte_of_the_host_is_shutdown)
{
    create_way((struct way){MODE_PAE, MODE_32, NULL});
    vmrun();
    put_value(HOST_PAGES + 3 * 8, 3, 8); /* a reserved bit */
    run_more(3);
    ck_assert(was_shut_down);
    ck_assert(!in_svm_guest(v));
    ck_assert_uint_eq(get(VMCB + offsetof(struct vmcb_control, exit_code), 8), SVM_EXIT_VMMCALL);
    ck_assert_uint_eq(v->cpl, 0);
    ck_assert(v->mode & MODE_CODE32);
    audit();
}
END_TEST

static void add_each(TCase *tc, const TTest *test, int step)
{
    for (int way_number = 0; way_number < WAYS; way_number += step)
        tcase_add_loop_test(tc, test, way_number, way_number + 1);
}

static void add(Suite *suite)
{
    TCase *tc = tcase_create("npt");

    add_each(tc, both_stages_are_walked_in_their_own_formats, 1);
    add_each(tc, changed_nested_entry_counts_from_the_next_vmrun, 1);
    add_each(tc, missing_nested_entry_is_npf_of_its_guest_address, 1);
    add_each(tc, wp_and_smap_of_the_host_do_not_count, 1);
    add_each(tc, supervisor_code_in_nested_user_pages_is_npf_under_gmet, 1);
    add_each(tc, user_code_runs_from_any_nested_page_under_gmet, 1);
    tcase_add_loop_test(tc, a_flush_of_any_kind_ends_what_is_stale, 0, 5);
    tcase_add_test(tc, bad_pdpte_of_the_host_is_shutdown);
    tcase_add_loop_test(tc, a_processor_without_gmet_ignores_its_bit, 0, 1);
    /* with L1 in 32-bit paging */
    add_each(tc, guest_address_beyond_a_32_bit_nested_table_is_npf, 4);
    add_each(tc, nested_tables_are_read_anew_when_the_host_changes_its_mode, 4);
    suite_add_tcase(suite, tc);
}

TESTS_MAIN("svm_npt", add)
