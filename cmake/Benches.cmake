# bench/bench_*.c: one program each, printing one figure; the target `bench` runs them.
file(GLOB mld_benches CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bench/bench_*.c")
set(mld_bench_commands "")
set(mld_bench_targets "")
foreach(source IN LISTS mld_benches)
  cmake_path(GET source STEM name)
  add_executable(${name} "${source}")
  target_include_directories(${name} PRIVATE
    "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include")
  target_compile_definitions(${name} PRIVATE
    "MLD_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"" "MLD_PROGRAM=\"${MLD_BIN_DIR}/mldyno\""
    "MLD_PREFIX_LIB=\"${MLD_PREFIX_LIB}\"")
  target_link_libraries(${name} PRIVATE mld_flags mld_all)
  list(APPEND mld_bench_commands COMMAND ${name})
  list(APPEND mld_bench_targets ${name})
endforeach()
if(TARGET mldyno)
  list(APPEND mld_bench_targets mldyno)
endif()
if(mld_bench_commands)
  add_custom_target(bench ${mld_bench_commands} DEPENDS ${mld_bench_targets}
    USES_TERMINAL COMMENT "Measuring mldyno itself")
endif()
