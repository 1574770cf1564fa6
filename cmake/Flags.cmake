# Compiler flags. mld_flags is an interface library that every target of ours links, so
# that third-party code (onnx.pb-c.c) is built without our warnings.
add_library(mld_flags INTERFACE)
target_compile_definitions(mld_flags INTERFACE _POSIX_C_SOURCE=200809L)
target_compile_options(mld_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wwrite-strings -Wformat=2 -Wundef -Wcast-qual -Wswitch-enum)
if(MLD_WERROR)
  target_compile_options(mld_flags INTERFACE -Werror)
endif()

# The same bits from every compiler: no fused multiply-add that the source does not ask for.
add_compile_options(-ffp-contract=off)

# Paths inside the program and its messages do not depend on where the tree lies.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")

set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")

if(MLD_SANITIZE)
  # gcc's range analysis reports lengths that cannot be when it is instrumented; the dev
  # preset, without sanitizers, is the gate for warnings.
  target_compile_options(mld_flags INTERFACE -Wno-format-truncation)
  add_compile_options(-fsanitize=${MLD_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MLD_SANITIZE})
endif()
