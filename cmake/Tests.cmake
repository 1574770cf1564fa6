# tests/unit/test_*.c: one program and one ctest test each. Other folders of tests/ bring
# their own CMakeLists.txt and use mld_add_test_program and mld_test_environment.
file(GLOB mld_kit_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/kit/*.c")
if(mld_kit_sources)
  add_library(mld_kit STATIC ${mld_kit_sources})
  target_include_directories(mld_kit PUBLIC "${CMAKE_SOURCE_DIR}/tests")
  target_compile_definitions(mld_kit PRIVATE "MLD_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"")
  target_link_libraries(mld_kit PUBLIC mld_all PRIVATE mld_flags)
endif()

# mld_add_test_program(NAME source...): a program linked with the kit and all modules.
function(mld_add_test_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE
    "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include" "${CMAKE_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE
    "MLD_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"" "MLD_PROGRAM=\"${MLD_BIN_DIR}/mldyno\""
    "MLD_PREFIX_LIB=\"${MLD_PREFIX_LIB}\"")
  target_link_libraries(${name} PRIVATE mld_flags mld_all)
  if(TARGET mld_kit)
    target_link_libraries(${name} PRIVATE mld_kit)
  endif()
endfunction()

# mld_test_environment(TEST...): what every test of ours runs with.
function(mld_test_environment)
  set_tests_properties(${ARGN} PROPERTIES
    TIMEOUT 300 SKIP_RETURN_CODE 77
    ENVIRONMENT "MLDYNO_PREFIX=${MLD_PREFIX};ASAN_OPTIONS=detect_leaks=1:abort_on_error=0;LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/asan.supp:print_suppressions=0;UBSAN_OPTIONS=print_stacktrace=1")
endfunction()

file(GLOB mld_unit_tests CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/unit/test_*.c")
foreach(source IN LISTS mld_unit_tests)
  cmake_path(GET source STEM name)
  mld_add_test_program(${name} "${source}")
  add_test(NAME unit.${name} COMMAND ${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit)
  mld_test_environment(unit.${name})
endforeach()

file(GLOB mld_test_folders CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/*/CMakeLists.txt")
foreach(list IN LISTS mld_test_folders)
  cmake_path(GET list PARENT_PATH folder)
  cmake_path(GET folder FILENAME name)
  add_subdirectory("${folder}" "${CMAKE_BINARY_DIR}/tests/${name}")
endforeach()

# ---- checks of the source ----------------------------------------------------------------
include(CheckLanguage)
check_language(CXX)
set(mld_header_flags "-I${mld_generated}" "-isystem${MLD_DUCKDB_INCLUDE_DIR}"
  "-isystem${MLD_ORT_INCLUDE_DIR}" "-isystem${MLD_ORT_INCLUDE_DIR}/..")

function(mld_add_check name)
  add_test(NAME check.${name} COMMAND ${ARGN})
  set_tests_properties(check.${name} PROPERTIES LABELS check)
  mld_test_environment(check.${name})
endfunction()
mld_add_check(includes "${CMAKE_SOURCE_DIR}/tools/check-includes")
mld_add_check(files "${CMAKE_SOURCE_DIR}/tools/check-files")
mld_add_check(format "${CMAKE_SOURCE_DIR}/tools/check-format")
mld_add_check(headers-c "${CMAKE_SOURCE_DIR}/tools/check-headers" "${CMAKE_SOURCE_DIR}" c
  "${CMAKE_C_COMPILER}" ${mld_header_flags})
mld_add_check(headers-cxx "${CMAKE_SOURCE_DIR}/tools/check-headers" "${CMAKE_SOURCE_DIR}"
  c++ "$<IF:$<BOOL:${CMAKE_CXX_COMPILER}>,${CMAKE_CXX_COMPILER},c++>")
mld_add_check(checks "${CMAKE_SOURCE_DIR}/tests/checks/run" "${CMAKE_SOURCE_DIR}"
  "${CMAKE_C_COMPILER}")
