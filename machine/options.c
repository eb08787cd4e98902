/* SPDX-License-Identifier: MIT */
/* The option table. Names and meanings are QEMU's where QEMU has the option. */
#include "machine/options.h"

#include "machine/config_values.h"

#include <stdio.h>
#include <string.h>

#define DO(name, form, text, apply)                                                                \
    {                                                                                              \
        name, OPTION_DO, VALUE_NEEDED, form, text, apply                                           \
    }
#define FLAG(name, text, apply)                                                                    \
    {                                                                                              \
        name, OPTION_DO, VALUE_NONE, NULL, text, apply                                             \
    }
#define IGNORE(name, value, reason)                                                                \
    {                                                                                              \
        name, OPTION_IGNORE, value, NULL, reason, NULL                                             \
    }
#define SILENT(name, value, text)                                                                  \
    {                                                                                              \
        name, OPTION_SILENT, value, NULL, text, NULL                                               \
    }
#define LATER(name, value)                                                                         \
    {                                                                                              \
        name, OPTION_LATER, value, NULL, "belongs to a later release", NULL                        \
    }
#define REFUSE(name, value, reason)                                                                \
    {                                                                                              \
        name, OPTION_REFUSE, value, NULL, reason, NULL                                             \
    }

/* clang-format off */
const struct option options[] = {
    /* the image */
    DO("kernel", "FILE", "bzImage, multiboot 1 or 2, PVH ELF or boot sector to start", option_kernel),
    DO("initrd", "FILE[,FILE...]", "initrd of a Linux kernel, modules of others", option_initrd),
    DO("append", "TEXT", "kernel command line", option_append),
    /* the machine */
    DO("m", "SIZE", "RAM in MiB, or with suffix K, M, G, T (default 128)", option_memory),
    DO("smp", "N", "number of CPUs, 1 to 8", option_smp),
    DO("cpu", "MODEL[,+F][,-F]", "CPU model and features (-cpu help)", option_cpu),
    DO("machine", "TYPE[,PROP=V]", "machine type: pc; pit=, hpet=, acpi=, feature-control=, accel=",
       option_machine),
    DO("M", "TYPE[,PROP=V]", "the same", option_machine),
    DO("accel", "NAME", "nestbox or tcg: both are this emulator", option_accel),
    DO("device", "NAME[,PROP=V]", "add a device (-device help)", option_device),
    FLAG("nodefaults", "no serial port unless one is asked for", option_nodefaults),
    FLAG("no-acpi", "no ACPI tables", option_no_acpi),
    FLAG("no-hpet", "no HPET", option_no_hpet),
    DO("rtc", "base=V", "date at start: utc, localtime or 2026-01-31T12:00:00", option_rtc),
    /* the console */
    DO("serial", "DEV", "stdio, mon:stdio, file:F, pty, null, none, chardev:ID", option_serial),
    DO("chardev", "KIND,id=ID", "stdio, file, null or pty, to name in -serial", option_chardev),
    DO("debugcon", "DEV", "where bytes written to port E9 go", option_debugcon),
    FLAG("nographic", "serial port on stdio; Ctrl-A X ends the run", option_nographic),
    DO("display", "none", "there is no display", option_display),
    DO("vga", "none", "there is no display adapter", option_vga),
    DO("monitor", "none", "there is no monitor yet", option_monitor),
    DO("parallel", "none", "there is no parallel port", option_parallel),
    DO("net", "none", "there is no network", option_net),
    DO("nic", "none", "there is no network", option_net),
    DO("echr", "N", "escape key, 1 for Ctrl-A to 26 for Ctrl-Z", option_echr),
    /* the run */
    FLAG("no-reboot", "end the run when the guest resets", option_no_reboot),
    FLAG("no-shutdown", "do not end when the guest switches off", option_no_shutdown),
    DO("action", "EVENT=ACTION", "reboot=reset|shutdown, shutdown=poweroff|pause", option_action),
    DO("pidfile", "FILE", "write the process number to FILE", option_pidfile),
    DO("d", "ITEM,...", "log unimp, guest_errors, int, cpu_reset, mmu, device, in_asm, explain", option_log),
    FLAG("explain", "say in words why a VM entry or VMX instruction failed (as -d explain)",
         option_explain),
    DO("D", "FILE", "write the log to FILE", option_log_file),
    DO("icount", "shift=N", "accepted: time is always instructions", option_icount),
    DO("seed", "N", "what RDRAND and RDSEED give (default 0)", option_seed),
    DO("sched-seed", "N", "another interleaving of several CPUs (default 0)", option_sched_seed),
    DO("drop-caches", "SEED", "test aid: drop all caches at random instructions", option_drop_caches),
    DO("max-insns", "N", "end with status 5 after N instructions", option_max_insns),
    { "state-hash", OPTION_DO, VALUE_OPTIONAL, "[=every:N]",
      "print a hash of the whole state at the end, or each N instructions", option_state_hash },
    DO("mmu", "MODE", "address translation: combined, shadow, walk", option_mmu),
    DO("engine", "NAME", "execution engine: auto, interp, jit (translate to x86-64)",
       option_engine),
    DO("sync", "POLICY", "of shadow pages: strict (coherent), lazy (until a flush), drop",
       option_sync),
    DO("shadow-quota", "SIZE", "memory for shadow pages, at least 256K (default 2 % of RAM, 4M or more)",
       option_shadow_quota),
    DO("shadow-roles", "KIND", "of shadow pages: lean, or kvm (test aid: with WP, SMEP, SMAP)",
       option_shadow_roles),
    DO("audit", "N", "test aid: check the shadow pages every N instructions", option_audit),
    { "stats", OPTION_DO, VALUE_OPTIONAL, "[=text|json]", "print counters at the end",
      option_stats },
    { "shadow-dump", OPTION_DO, VALUE_NONE, NULL,
      "print the shadow pages of each CPU's contexts at the end", option_shadow_dump },
    DO("linux-entry", "32|64", "entry point of a Linux kernel that has both", option_linux_entry),
    FLAG("qemu-compat", "print --help and --version in QEMU's form", option_qemu_compat),
    /* no effect, and none expected */
    SILENT("name", VALUE_NEEDED, "nobody asks for the name"),
    SILENT("uuid", VALUE_NEEDED, "there is no SMBIOS table"),
    SILENT("L", VALUE_NEEDED, "the firmware is built in"),
    SILENT("no-user-config", VALUE_NONE, "there is no configuration file"),
    SILENT("nodefconfig", VALUE_NONE, "there is no configuration file"),
    /* ignored with a warning */
    IGNORE("enable-kvm", VALUE_NONE, "nestbox uses no KVM"),
    IGNORE("global", VALUE_NEEDED, "no such property"),
    IGNORE("balloon", VALUE_NEEDED, "there is no balloon device"),
    IGNORE("usb", VALUE_NONE, "there is no USB"),
    IGNORE("usbdevice", VALUE_NEEDED, "there is no USB"),
    IGNORE("watchdog", VALUE_NEEDED, "there is no watchdog"),
    IGNORE("watchdog-action", VALUE_NEEDED, "there is no watchdog"),
    IGNORE("sandbox", VALUE_NEEDED, "not built"),
    IGNORE("mem-prealloc", VALUE_NONE, "RAM is allocated as it is touched"),
    IGNORE("mem-path", VALUE_NEEDED, "RAM is anonymous memory"),
    IGNORE("overcommit", VALUE_NEEDED, "RAM is allocated as it is touched"),
    IGNORE("boot", VALUE_NEEDED, "there are no disks to choose from"),
    IGNORE("smbios", VALUE_NEEDED, "there is no SMBIOS table"),
    IGNORE("k", VALUE_NEEDED, "there is no keyboard window"),
    IGNORE("msg", VALUE_NEEDED, "messages have one form"),
    IGNORE("no-fd-bootchk", VALUE_NONE, "there is no floppy drive"),
    IGNORE("tb-size", VALUE_NEEDED, "the code cache has a fixed size"),
    IGNORE("full-screen", VALUE_NONE, "there is no display"),
    /* not yet */
    LATER("drive", VALUE_NEEDED), LATER("blockdev", VALUE_NEEDED), LATER("hda", VALUE_NEEDED),
    LATER("hdb", VALUE_NEEDED), LATER("hdc", VALUE_NEEDED), LATER("hdd", VALUE_NEEDED),
    LATER("cdrom", VALUE_NEEDED), LATER("fda", VALUE_NEEDED), LATER("fdb", VALUE_NEEDED),
    LATER("bios", VALUE_NEEDED), LATER("pflash", VALUE_NEEDED), LATER("snapshot", VALUE_NONE),
    LATER("loadvm", VALUE_NEEDED), LATER("mon", VALUE_NEEDED), LATER("qmp", VALUE_NEEDED),
    LATER("qmp-pretty", VALUE_NEEDED), LATER("S", VALUE_NONE), LATER("s", VALUE_NONE),
    LATER("gdb", VALUE_NEEDED), LATER("dfilter", VALUE_NEEDED), LATER("virtfs", VALUE_NEEDED),
    LATER("fsdev", VALUE_NEEDED), LATER("netdev", VALUE_NEEDED), LATER("object", VALUE_NEEDED),
    LATER("plugin", VALUE_NEEDED), LATER("trace", VALUE_NEEDED), LATER("curses", VALUE_NONE),
    LATER("sdl", VALUE_NONE), LATER("record", VALUE_NEEDED), LATER("replay", VALUE_NEEDED),
    LATER("stop-at", VALUE_NEEDED), LATER("snapshot-every", VALUE_NEEDED),
    LATER("trace-events", VALUE_NEEDED), LATER("lint", VALUE_NEEDED), LATER("paging", VALUE_NEEDED),
    LATER("expect", VALUE_NEEDED), LATER("report", VALUE_NEEDED),
    LATER("cpu-file", VALUE_NEEDED), LATER("readconfig", VALUE_NEEDED), LATER("numa", VALUE_NEEDED),
    LATER("tlb", VALUE_NEEDED), LATER("bochsrc", VALUE_NEEDED),
    /* never */
    REFUSE("spice", VALUE_NEEDED, "there is no display; use -serial"),
    REFUSE("vnc", VALUE_NEEDED, "there is no display; use -serial"),
    REFUSE("daemonize", VALUE_NONE, "start it with nohup or a service manager"),
    REFUSE("incoming", VALUE_NEEDED, "there is no live migration"),
    REFUSE("runas", VALUE_NEEDED, "start it as that user"),
    REFUSE("chroot", VALUE_NEEDED, "start it in that root"),
    { 0 },
};
/* clang-format on */

const struct option *option_find(const char *name, size_t length)
{
    for (const struct option *o = options; o->name != NULL; o++)
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

void options_print_help(void)
{
    (void)printf("usage: nestbox [run] [options]\n"
                 "       nestbox options\n\n"
                 "QEMU-compatible options (one or two dashes):\n\n"
                 "-help           print this and stop\n"
                 "-version        print the version and stop\n");
    for (const struct option *o = options; o->name != NULL; o++)
        if (o->class == OPTION_DO)
            (void)printf("-%s%s%s\n                %s\n", o->name,
                         o->value == VALUE_NEEDED ? " " : "", o->form != NULL ? o->form : "",
                         o->text);
}

void options_print_table(void)
{
    static const char *const words[] = {"done", "ignored", "taken", "refused", "refused"};

    for (const struct option *o = options; o->name != NULL; o++)
        (void)printf("-%-16s %-8s %s\n", o->name, words[o->class], o->text);
}
