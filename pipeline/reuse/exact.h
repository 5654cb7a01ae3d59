// A product and the sum that it goes into are rounded one after the other on every processor, also where one instruction does both at once.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif
