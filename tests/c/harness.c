/* harness.c — the kernels against plain loops, without Python.

     harness [COUNT [FIRST]]     cases FIRST .. FIRST + COUNT - 1 of every check; "harness 1 217" repeats case 217
     HARNESS_VERBOSE=1           tells every case before it is computed

   The last line is "N passed, N failed", and the status is not 0 if a case failed. New entries of convfast.h get a
   check of their own in check_<name>.c, a declaration in harness.h and a row in `checks`. */
#include "harness.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    check *run;
    int every, times; /* of `every` cases one is run, so many times */
} checks[] = {
    {"conv2d", check_conv2d, 1, 1},
    {"threads", check_threads, 20, 1},
    {"geometry", check_geometry, 1, 100},
};

static char computing[512];

void now_computing(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(computing, sizeof computing, format, arguments);
    va_end(arguments);
    if (getenv("HARNESS_VERBOSE") != NULL) fprintf(stderr, "%s\n", computing);
}

int failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "FAILED: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n  %s\n", computing);
    va_end(arguments);
    return 0;
}

/* Tells the case and lets the fault happen again under the handler of before: a sanitizer's, or none. */
static struct sigaction before;
static void on_fault(int signal)
{
    static const char text[] = "FAULT, perhaps in a guard page\n  ";
    if (write(2, text, sizeof text - 1) < 0 || write(2, computing, strlen(computing)) < 0 || write(2, "\n", 1) < 0) {}
    sigaction(signal, &before, NULL);
}

uint64_t next(uint64_t *random)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int64_t between(uint64_t *random, int64_t least, int64_t most)
{
    return least + (int64_t)(next(random) % (uint64_t)(most - least + 1));
}

int one_in(uint64_t *random, int n) { return next(random) % (uint64_t)n == 0; }

int main(int count, char **words)
{
    const long cases = count > 1 ? atol(words[1]) : 1000, first = count > 2 ? atol(words[2]) : 0;
    const struct sigaction fault = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &fault, &before);

    printf("%s,", cf_openmp());
    for (int i = 0; cf_isa_name(i) != NULL; ++i) printf(" %s", cf_isa_name(i));
    printf("\n");
    fflush(stdout);
    long passed = 0, wrong = 0;
    for (size_t c = 0; c < sizeof checks / sizeof *checks; ++c)
        for (long i = first; i < first + cases; ++i) {
            if (i % checks[c].every != 0) continue;
            for (int t = 0; t < checks[c].times; ++t) {
                now_computing("%s %ld", checks[c].name, i);
                if (checks[c].run((uint64_t)(i * checks[c].times + t)))
                    ++passed;
                else
                    ++wrong;
            }
        }
    printf("%ld passed, %ld failed\n", passed, wrong);
    return wrong != 0 || passed == 0;
}
