#include <stddef.h>
#include <valgrind/memcheck.h>

int memcheck_is_running(void) { return RUNNING_ON_VALGRIND != 0; }
size_t memcheck_count_errors(void) { return VALGRIND_COUNT_ERRORS; }
void memcheck_make_undefined(void *start, size_t len) { (void)VALGRIND_MAKE_MEM_UNDEFINED(start, len); }
void memcheck_make_defined(void *start, size_t len) { (void)VALGRIND_MAKE_MEM_DEFINED(start, len); }
