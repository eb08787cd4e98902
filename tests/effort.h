/* SPDX-License-Identifier: MIT */
/* How often a random test repeats: sanitizers make everything ten times slower. */
#ifndef TESTS_EFFORT_H
#define TESTS_EFFORT_H

#if defined(__SANITIZE_ADDRESS__)
#define EFFORT(rounds) ((rounds) / 10)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EFFORT(rounds) ((rounds) / 10)
#endif
#endif
#ifndef EFFORT
#define EFFORT(rounds) (rounds)
#endif

#endif
