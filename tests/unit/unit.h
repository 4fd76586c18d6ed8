/*
 * unit.h - cmocka with what it needs included first (its header does not do that itself).
 *
 * A test program has one group of tests and prints TAP when CMOCKA_MESSAGE_OUTPUT=TAP.
 */
#ifndef SB_TESTS_UNIT_H
#define SB_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
