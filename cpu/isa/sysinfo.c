/* SPDX-License-Identifier: MIT */
/*
 * Instructions that ask or tell the processor something: CPUID, MSRs, time stamps, extended control
 * registers, protection keys, FS and GS bases, random numbers. SDM Vol 2, by mnemonic; RDPRU: APM
 * Vol 3.
 */
#include "cpu/control.h"
#include "cpu/isa/isa.h"
#include "cpu/stamp.h"
#include "cpu/system.h"
#include "cpu/virt.h"
#include "cpu/xstate.h"

/* A 64-bit result in EDX:EAX. */
static void set_edx_eax(struct vcpu *v, u64 value)
{
    v->state.reg[REG_RAX] = value & 0xffffffff;
    v->state.reg[REG_RDX] = value >> 32;
}

static u64 get_edx_eax(const struct vcpu *v)
{
    return v->state.reg[REG_RDX] << 32 | (v->state.reg[REG_RAX] & 0xffffffff);
}

static u32 ecx(const struct vcpu *v)
{
    return (u32)v->state.reg[REG_RCX];
}

static bool exec_cpuid(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const struct cpuid_result r = cpuid(v, (u32)v->state.reg[REG_RAX], ecx(v));

    (void)in;
    (void)x;
    v->state.reg[REG_RAX] = r.eax;
    v->state.reg[REG_RBX] = r.ebx;
    v->state.reg[REG_RCX] = r.ecx;
    v->state.reg[REG_RDX] = r.edx;
    return true;
}

static bool exec_rdmsr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    u64 value;

    (void)in;
    (void)x;
    vcpu_commit_time(v);
    if (!msr_read(v, ecx(v), &value))
        return false;
    set_edx_eax(v, value);
    return true;
}

static bool exec_wrmsr(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    vcpu_commit_time(v);
    return msr_write(v, ecx(v), get_edx_eax(v));
}

/* ---- time ---- */

static bool tsc_allowed(struct vcpu *v)
{
    if (v->cpl != 0 && (v->state.cr4 & CR4_TSD) != 0)
        return RAISE_GP0(v);
    return true;
}

static bool exec_rdtsc(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    if (!tsc_allowed(v))
        return false;
    set_edx_eax(v, virt_guest_tsc(v, insn_tsc(v, in)));
    return true;
}

STAMP_FN(run_rdtsc)
{
    if (unlikely(v->cpl != 0 && (v->state.cr4 & CR4_TSD) != 0))
        GENERIC(v, in);
    set_edx_eax(v, virt_guest_tsc(v, insn_tsc(v, in)));
    NEXT(v, in);
}

static insn_run stamp_rdtsc(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_rdtsc;
}

static bool exec_rdtscp(struct vcpu *v, const struct insn *in, struct operands *x)
{
    if (!exec_rdtsc(v, in, x))
        return false;
    v->state.reg[REG_RCX] = v->state.tsc_aux;
    return true;
}

/* MPERF and APERF both run with the TSC; other registers read zero. */
static bool exec_rdpru(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)x;
    if (!tsc_allowed(v))
        return false;
    set_edx_eax(v, ecx(v) <= 1 ? insn_tsc(v, in) : 0);
    return true;
}

/* There are no counters but AMD's four legacy ones, which stand still. */
static bool exec_rdpmc(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if ((v->cpl != 0 && (v->state.cr4 & CR4_PCE) == 0 && (v->state.cr0 & CR0_PE) != 0) || !v->amd ||
        ecx(v) >= AMD_COUNTERS)
        return RAISE_GP0(v);
    set_edx_eax(v, 0);
    return true;
}

static bool exec_rdpid(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = v->state.tsc_aux;
    return true;
}

/* ---- XCR0, protection keys ---- */

static bool exec_xgetbv(struct vcpu *v, const struct insn *in, struct operands *x)
{
    const u32 index = ecx(v);

    (void)in;
    (void)x;
    if ((v->state.cr4 & CR4_OSXSAVE) == 0)
        return RAISE_UD(v);
    if (index > 1 || (index == 1 && !has_feature(v, F_XGETBV1)))
        return RAISE_GP0(v);
    set_edx_eax(v, index == 0 ? v->state.xcr0 : v->state.xcr0 & xstate_in_use(v));
    return true;
}

static bool pkru_allowed(struct vcpu *v)
{
    if ((v->state.cr4 & CR4_PKE) == 0)
        return RAISE_UD(v);
    if (ecx(v) != 0)
        return RAISE_GP0(v);
    return true;
}

static bool exec_rdpkru(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!pkru_allowed(v))
        return false;
    set_edx_eax(v, v->state.pkru);
    return true;
}

static bool exec_wrpkru(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    if (!pkru_allowed(v))
        return false;
    if ((u32)v->state.reg[REG_RDX] != 0)
        return RAISE_GP0(v);
    v->state.pkru = (u32)v->state.reg[REG_RAX];
    mmu_set_keys(v->mmu, v->state.pkru, (u32)v->state.pkrs);
    vcpu_tlb_refresh(v);
    return true;
}

/* ---- FS and GS bases ---- */

static void swap_gs(struct vcpu *v)
{
    const u64 base = v->state.seg[SEG_GS].base;

    v->state.seg[SEG_GS].base = v->state.kernel_gs_base;
    v->segbase[SEG_GS] = v->state.kernel_gs_base;
    v->state.kernel_gs_base = base;
}

static bool exec_swapgs(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    (void)x;
    swap_gs(v);
    return true;
}

STAMP_FN(run_swapgs)
{
    swap_gs(v);
    NEXT(v, in);
}

static insn_run stamp_swapgs(const struct insn *in, u32 mode)
{
    (void)in;
    (void)mode;
    return run_swapgs;
}

static bool base_read(struct vcpu *v, enum seg seg, struct operands *x)
{
    if ((v->state.cr4 & CR4_FSGSBASE) == 0)
        return RAISE_UD(v);
    x->val[0] = v->state.seg[seg].base;
    return true;
}

static bool base_write(struct vcpu *v, enum seg seg, const struct operands *x)
{
    if ((v->state.cr4 & CR4_FSGSBASE) == 0)
        return RAISE_UD(v);
    if (!canonical_storable(v, x->val[0]))
        return RAISE_GP0(v);
    v->state.seg[seg].base = x->val[0];
    v->segbase[seg] = x->val[0];
    return true;
}

static bool exec_rdfsbase(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return base_read(v, SEG_FS, x);
}

static bool exec_rdgsbase(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return base_read(v, SEG_GS, x);
}

static bool exec_wrfsbase(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return base_write(v, SEG_FS, x);
}

static bool exec_wrgsbase(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    return base_write(v, SEG_GS, x);
}

/* ---- random numbers: reproducible, from the seed given at start ---- */

static u64 rotate(u64 x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* xoshiro256** (Blackman and Vigna, public domain). */
static u64 random_next(u64 *s)
{
    const u64 result = rotate(s[1] * 5, 7) * 9;
    const u64 t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

static bool exec_random(struct vcpu *v, const struct insn *in, struct operands *x)
{
    (void)in;
    x->val[0] = random_next(v->state.random);
    flags_write(v, FLAGS_ARITH, FLAG_CF);
    return true;
}

/* clang-format off */
#define INFO (ENDS_BLOCK | SERIALISING)

const struct insn_def isa_sysinfo[] = {
    {"xgetbv", "np 0f 01 d0", "", exec_xgetbv, 0, .feature = F_XSAVE},
    {"rdpkru", "np 0f 01 ee", "", exec_rdpkru, 0, .feature = F_PKU},
    {"wrpkru", "np 0f 01 ef", "", exec_wrpkru, 0, .feature = F_PKU},
    {"swapgs", "0f 01 f8", "", exec_swapgs, ONLY64 | CPL0, .stamp = stamp_swapgs},
    {"rdtscp", "0f 01 f9", "", exec_rdtscp, 0, .feature = F_RDTSCP, .intercept = INTERCEPT_RDTSCP},
    {"rdpru", "0f 01 fd", "", exec_rdpru, 0, .feature = F_RDPRU, .intercept = INTERCEPT_RDPRU},
    {"wrmsr", "0f 30", "", exec_wrmsr, CPL0 | INFO | IO, .feature = F_MSR, .intercept = INTERCEPT_WRMSR},
    {"rdtsc", "0f 31", "", exec_rdtsc, 0, .feature = F_TSC, .stamp = stamp_rdtsc, .intercept = INTERCEPT_RDTSC},
    {"rdmsr", "0f 32", "", exec_rdmsr, CPL0 | ENDS_BLOCK | IO, .feature = F_MSR, .intercept = INTERCEPT_RDMSR},
    {"rdpmc", "0f 33", "", exec_rdpmc, 0, .intercept = INTERCEPT_RDPMC},
    {"cpuid", "0f a2", "", exec_cpuid, INFO, .intercept = INTERCEPT_CPUID},
    {"rdfsbase", "f3 0f ae /0", "=Ry", exec_rdfsbase, ONLY64, .feature = F_FSGSBASE},
    {"rdgsbase", "f3 0f ae /1", "=Ry", exec_rdgsbase, ONLY64, .feature = F_FSGSBASE},
    {"wrfsbase", "f3 0f ae /2", "Ry", exec_wrfsbase, ONLY64, .feature = F_FSGSBASE},
    {"wrgsbase", "f3 0f ae /3", "Ry", exec_wrgsbase, ONLY64, .feature = F_FSGSBASE},
    {"rdrand", "0f c7 /6", "=Rv", exec_random, 0, .flags_written = FLAGS_ARITH, .feature = F_RDRAND, .intercept = INTERCEPT_RDRAND},
    {"rdseed", "0f c7 /7", "=Rv", exec_random, 0, .flags_written = FLAGS_ARITH, .feature = F_RDSEED, .intercept = INTERCEPT_RDSEED},
    {"rdpid", "f3 0f c7 /7", "=Ry", exec_rdpid, FORCE64, .feature = F_RDPID, .intercept = INTERCEPT_RDPID},
    {0},
};
/* clang-format on */
