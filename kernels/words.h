// The words that written formulas are made of, for the CPU: read before everything else.
#define __FAST_MATH__ 1   // glibc then declares the vector versions of exp, tanh and the like; nothing else hangs on the word here
#include <math.h>
#undef __FAST_MATH__

#define __device__
