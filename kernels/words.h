// The math functions of generated formulas on the CPU; included before everything else.
#define __FAST_MATH__ 1   // makes glibc declare vector versions of exp, tanh and similar functions; no other effect here
#include <math.h>
#undef __FAST_MATH__

#define __device__
