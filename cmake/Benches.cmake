# bench/bench_*.c: one program each, printing one or a few figures, in <build>/bench. The
# target `benches` builds them with the program that some of them measure; bench/run runs
# them.
file(GLOB mld_benches CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bench/bench_*.c")
add_library(mld_bench_program STATIC "${CMAKE_SOURCE_DIR}/bench/program.c")
target_link_libraries(mld_bench_program PRIVATE mld_flags PUBLIC mld_all)
add_custom_target(benches)
foreach(source IN LISTS mld_benches)
  cmake_path(GET source STEM name)
  add_executable(${name} "${source}")
  target_compile_definitions(${name} PRIVATE
    "MLD_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"" "MLD_PROGRAM=\"${MLD_BIN_DIR}/mldyno\""
    "MLD_PREFIX_LIB=\"${MLD_PREFIX_LIB}\"")
  target_link_libraries(${name} PRIVATE mld_flags mld_bench_program mld_all
    mld::ort_header)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
  add_dependencies(benches ${name})
endforeach()
if(TARGET mldyno)
  add_dependencies(benches mldyno)
endif()
