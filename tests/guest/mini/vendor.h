/* SPDX-License-Identifier: MIT */
/* The seam between L1's common part and a vendor's way to run a guest. */
#ifndef MINI_VENDOR_H
#define MINI_VENDOR_H

#include "guest.h"

struct vendor {
    const char *name, *program;
    const char *second_name; /* of the second stage */
    bool (*offered)(void); /* by this processor */
    void (*on)(void);
    void (*off)(void);
    /* Format and flags of the second stage in L1's paging mode as it is now. */
    const struct format *(*second_format)(void);
    bool second_as_l1; /* that format is the one of L1's own tables */
    u64 second_rwx; /* flags of a leaf that allows everything */
    u64 second_write; /* toggled, it refuses that */
    u64 (*second_execute)(void); /* this too; 0: L1's paging mode has no such bit */
    bool second_linear; /* an exit of the second stage says the linear address */
    bool wide_guests; /* L1 in 32-bit mode may run L2 in 64-bit mode */
    u64 bad_state; /* the exit's reason when an entry fails for L2's state */
    bool pdpte_registers; /* PAE paging of L2 has PDPTE registers */
    void (*create)(struct l2 *l2); /* l2->vendor */
    void (*run)(struct l2 *l2); /* from l2's state until an exit; fills l2->exit and the state */
    const char *(*exit_name)(u64 reason);
    void (*exit_print)(const struct l2 *l2); /* the last one, in the vendor's words */
    /* Another processor may run this guest next. */
    void (*release)(struct l2 *l2);
    /* External interrupts and NMIs exit from now on, whatever L2's RFLAGS.IF; it may be halted. */
    void (*catch_events)(struct l2 *l2);
    u64 interrupt_exit, nmi_exit; /* as these */
    bool acknowledges; /* that exit takes the interrupt, and L1 must end it */
    void (*flush)(struct l2 *l2); /* forget translations that L1's tables for this guest gave */
    void (*inject)(struct l2 *l2, u32 vector, u32 error); /* an exception with an error code */
    void (*inject_interrupt)(struct l2 *l2, u32 vector); /* an external one */
};
extern const struct vendor vendor_vmx, vendor_svm;
extern const struct vendor *vendor; /* of this processor */

#endif
