#include "arch/arch_int.h"
const struct mld_arch_table mld_arch_types_vision = {NULL, 0};
