/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor that makes its own caller the guest: see l2.h. Exits are taken in l2_start.S, calls
 * there and all others here. SDM Vol 3C "VMCS Field Encodings"; APM Vol 2 appendix B.
 */
#include "l2.h"

#define TABLES ((u64 *)0x2000000) /* root, then one table per level, then 256 of pages */
#define PAGE 4096

enum { MSR_EFER = 0xc0000080, MSR_HSAVE = 0xc0010117, MSR_VMX = 0x480, MSR_FEATURES = 0x3a };

/* l2_start.S */
void l2_start_vmx(void);
void l2_start_svm(void);
void l2_exit_vmx(void);
extern u64 l2_host_stack_top[];
extern u64 l2_vmcb;

static u8 vmxon_region[PAGE] __attribute__((aligned(PAGE)));
static u8 vmcs_region[PAGE] __attribute__((aligned(PAGE))); /* or the VMCB */
static u8 host_save[PAGE] __attribute__((aligned(PAGE)));
static u8 msr_bitmap[PAGE] __attribute__((aligned(PAGE))); /* no MSR exits */
static int vmx;

static u64 rdmsr(u32 index)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return low | (u64)high << 32;
}

static void wrmsr(u32 index, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static u32 cpuid_ecx(u32 leaf)
{
    u32 a = leaf, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c;
}

#define READ_CR(n, value) __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value))

static void vmwrite(u64 field, u64 value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

static u64 vmread(u64 field)
{
    u64 value;

    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    return value;
}

struct table_address {
    u16 limit;
    u64 base;
} __attribute__((packed));

/* ---- the second stage ---- */

static u64 leaf(u64 address)
{
    return address | 7 | (vmx ? 6 << 3 : 0); /* EPT: write back */
}

static u64 *leaf_entry(u64 address)
{
    return TABLES + 3 * 512 + address / PAGE;
}

static u64 build_tables(void)
{
    const u64 root = (u64)TABLES;

    for (u32 i = 0; i < 3 * 512; i++)
        TABLES[i] = 0;
    TABLES[0] = (root + PAGE) | 7;
    TABLES[512] = (root + 2 * PAGE) | 7;
    for (u64 i = 0; i < 256; i++)
        TABLES[1024 + i] = (root + (3 + i) * PAGE) | 7;
    for (u64 page = 0; page < 256 * 512; page++)
        *leaf_entry(page * PAGE) = leaf(page * PAGE);
    return root;
}

/* ---- VMX ---- */

static u32 controls(u32 msr, u32 wanted)
{
    const u64 allowed = rdmsr(msr);

    return ((u32)allowed | wanted) & (u32)(allowed >> 32);
}

/* ES CS SS DS FS GS LDTR TR */
static void write_segments(void)
{
    static const u16 selector[8] = {16, 8, 16, 16, 0, 0, 0, 24};
    static const u32 rights[8] = {0xc093, 0xa09b, 0xc093, 0xc093, 0x10000, 0x10000, 0x10000, 0x8b};
    struct table_address gdtr, idtr;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    for (u64 i = 0; i < 8; i++) {
        vmwrite(0x800 + 2 * i, selector[i]);
        vmwrite(0x4800 + 2 * i, i == 7 ? 0x67 : 0xffffffff);
        vmwrite(0x4814 + 2 * i, rights[i]);
        vmwrite(0x6806 + 2 * i, 0);
        if (i != 6) /* of the host */
            vmwrite(i == 7 ? 0xc0c : 0xc00 + 2 * i, selector[i]);
    }
    for (u64 i = 0; i < 3; i++)
        vmwrite(0x6c06 + 2 * i, 0); /* host bases of FS, GS, TR */
    vmwrite(0x4810, gdtr.limit);
    vmwrite(0x4812, idtr.limit);
    vmwrite(0x6816, gdtr.base);
    vmwrite(0x6818, idtr.base);
    vmwrite(0x6c0c, gdtr.base);
    vmwrite(0x6c0e, idtr.base);
}

static void write_controls(u64 root)
{
    const u64 cleared = 1 << 15 | 1 << 16; /* exits by MOV CR3 */

    vmwrite(0x4000, controls(MSR_VMX + 13, 0));
    vmwrite(0x4002, controls(MSR_VMX + 14, 1u << 31 | 1 << 28) & ~cleared);
    vmwrite(0x2004, (u64)msr_bitmap);
    vmwrite(0x401e, controls(MSR_VMX + 11, 1 << 1 | 1 << 5)); /* EPT, VPID */
    vmwrite(0x400c, controls(MSR_VMX + 15, 1 << 9));
    vmwrite(0x4012, controls(MSR_VMX + 16, 1 << 9));
    for (u64 field = 0x4004; field <= 0x401c; field += 2) {
        if (field != 0x400c && field != 0x4012)
            vmwrite(field, 0);
    }
    vmwrite(0x0000, 1); /* VPID */
    vmwrite(0x201a, root | 6 | 3 << 3);
    vmwrite(0x2800, ~(u64)0);
}

static void write_state(void)
{
    u64 cr0, cr3, cr4;

    READ_CR(0, cr0);
    READ_CR(3, cr3);
    READ_CR(4, cr4);
    for (u64 host = 0; host < 2; host++) {
        vmwrite(host ? 0x6c00 : 0x6800, cr0);
        vmwrite(host ? 0x6c02 : 0x6802, cr3);
        vmwrite(host ? 0x6c04 : 0x6804, cr4);
    }
    vmwrite(0x681a, 0x400);
    vmwrite(0x6820, 2);
    vmwrite(0x6822, 0);
    vmwrite(0x4824, 0);
    vmwrite(0x4826, 0);
    for (u64 i = 0; i < 4; i++) /* CR0 and CR4 masks and shadows */
        vmwrite(0x6000 + 2 * i, 0);
    vmwrite(0x6c14, (u64)l2_host_stack_top);
    vmwrite(0x6c16, (u64)l2_exit_vmx);
}

static const char *start_vmx(void)
{
    const u64 revision = rdmsr(MSR_VMX) & 0x7fffffff;
    u64 vmxon = (u64)vmxon_region, vmcs = (u64)vmcs_region;

    if (!(rdmsr(MSR_FEATURES) & 1))
        wrmsr(MSR_FEATURES, 5);
    if ((rdmsr(MSR_FEATURES) & 5) != 5)
        return "firmware has locked VMX";
    *(u32 *)vmxon_region = (u32)revision;
    *(u32 *)vmcs_region = (u32)revision;
    __asm__ volatile("mov %%cr0, %%rax; or $0x20, %%eax; mov %%rax, %%cr0;"
                     "mov %%cr4, %%rax; or $0x2000, %%eax; mov %%rax, %%cr4;"
                     "vmxon %0; vmclear %1; vmptrld %1"
                     :
                     : "m"(vmxon), "m"(vmcs)
                     : "rax", "cc", "memory");
    write_controls(build_tables());
    write_segments();
    write_state();
    l2_start_vmx();
    return 0;
}

/* ---- SVM ---- */

static void put(u32 offset, u64 value, u32 size)
{
    for (u32 i = 0; i < size; i++)
        vmcs_region[offset + i] = (u8)(value >> 8 * i);
}

static void put_segment(u32 offset, u16 selector, u16 rights, u32 limit, u64 base)
{
    put(offset, selector, 2);
    put(offset + 2, rights, 2);
    put(offset + 4, limit, 4);
    put(offset + 8, base, 8);
}

static const char *start_svm(void)
{
    struct table_address gdtr, idtr;
    u64 cr;

    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1 << 12);
    wrmsr(MSR_HSAVE, (u64)host_save);
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdtr), "=m"(idtr));
    put(0x10, 3, 4); /* VMRUN, VMMCALL */
    put(0x58, 1, 4); /* ASID */
    put(0x90, 1, 8);
    put(0xb0, build_tables(), 8);
    put_segment(0x400, 16, 0xc93, 0xffffffff, 0); /* ES */
    put_segment(0x410, 8, 0xa9b, 0xffffffff, 0);
    put_segment(0x420, 16, 0xc93, 0xffffffff, 0);
    put_segment(0x430, 16, 0xc93, 0xffffffff, 0);
    put_segment(0x460, 0, 0, gdtr.limit, gdtr.base);
    put_segment(0x480, 0, 0, idtr.limit, idtr.base);
    put(0x4d0, rdmsr(MSR_EFER), 8);
    READ_CR(4, cr);
    put(0x548, cr, 8);
    READ_CR(3, cr);
    put(0x550, cr, 8);
    READ_CR(0, cr);
    put(0x558, cr, 8);
    put(0x560, 0x400, 8);
    put(0x568, 0xffff0ff0, 8);
    put(0x570, 2, 8);
    put(0x668, 0x0007040600070406, 8); /* PAT */
    l2_vmcb = (u64)vmcs_region;
    l2_start_svm();
    return 0;
}

/* ---- both ---- */

const char *become_guest(void)
{
    if (cpuid_ecx(1) >> 5 & 1) {
        vmx = 1;
        return start_vmx();
    }
    if (cpuid_ecx(0x80000001) >> 2 & 1)
        return start_svm();
    return "neither VMX nor SVM";
}

void l2_call(void)
{
    if (vmx)
        __asm__ volatile("vmcall" : : "a"(0) : "memory");
    else
        __asm__ volatile("vmmcall" : : "a"(0) : "memory");
}

void l2_unmap(u64 address)
{
    if (vmx)
        __asm__ volatile("vmcall" : : "a"(address) : "memory");
    else
        __asm__ volatile("vmmcall" : : "a"(address) : "memory");
}

/* In L1: an exit that is not a plain call. argument: RAX of L2. Returns whether to go on. */
int l2_handle(u64 argument)
{
    const u64 reason = vmx ? vmread(0x4402) : *(u64 *)(vmcs_region + 0x70);

    if (reason == (vmx ? 18 : 0x81)) { /* take a page away */
        *leaf_entry(argument) = 0;
        if (vmx) {
            const u64 descriptor[2] = {vmread(0x201a), 0};

            vmwrite(0x681e, vmread(0x681e) + 3);
            __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"((u64)1) : "cc", "memory");
        } else {
            *(u64 *)(vmcs_region + 0x578) += 3;
            vmcs_region[0x5c] = 1; /* flush */
        }
        return 1;
    }
    if (reason == (vmx ? 48 : 0x400)) {
        const u64 address =
            (vmx ? vmread(0x2400) : *(u64 *)(vmcs_region + 0x80)) & ~(u64)(PAGE - 1);

        *leaf_entry(address) = leaf(address);
        if (!vmx)
            vmcs_region[0x5c] = 0;
        return 1;
    }
    return 0;
}
