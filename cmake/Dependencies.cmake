# Third-party libraries: an installed one first (CMAKE_PREFIX_PATH, the system), then what
# tools/setup fetched into MLD_PREFIX. ONNX Runtime is loaded at run time; only its C
# header is needed here.
list(APPEND CMAKE_PREFIX_PATH "${MLD_PREFIX}")
set(mld_run_setup "run tools/setup, or name the folder that has it with -DMLD_PREFIX=")

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(cjson REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(hwloc REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(protobuf_c REQUIRED IMPORTED_TARGET libprotobuf-c)

# ---- ONNX Runtime's C header -------------------------------------------------------------
set(MLD_ORT_API_MIN 23)
function(mld_check_ort_header result dir)
  file(STRINGS "${dir}/onnxruntime_c_api.h" line REGEX "^#define ORT_API_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+" api "${line}")
  if(NOT api OR api LESS MLD_ORT_API_MIN)
    set(${result} FALSE PARENT_SCOPE) # too old: the search goes on
  endif()
endfunction()
find_path(MLD_ORT_INCLUDE_DIR onnxruntime_c_api.h
  PATH_SUFFIXES onnxruntime onnxruntime/core/session VALIDATOR mld_check_ort_header)
if(NOT MLD_ORT_INCLUDE_DIR)
  message(FATAL_ERROR "onnxruntime_c_api.h with ORT_API_VERSION >= ${MLD_ORT_API_MIN} "
    "not found: ${mld_run_setup}")
endif()
add_library(mld_ort_header INTERFACE)
add_library(mld::ort_header ALIAS mld_ort_header)
target_include_directories(mld_ort_header SYSTEM INTERFACE "${MLD_ORT_INCLUDE_DIR}")
if(MLD_ORT_INCLUDE_DIR MATCHES "(.*)/onnxruntime$")
  target_include_directories(mld_ort_header SYSTEM INTERFACE "${CMAKE_MATCH_1}")
endif()

# Where the program looks for engines before it asks the system: the fetched libraries.
find_library(MLD_ORT_LIBRARY onnxruntime
  PATHS ${CMAKE_PREFIX_PATH} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(MLD_ORT_LIBRARY)
  cmake_path(GET MLD_ORT_LIBRARY PARENT_PATH MLD_PREFIX_LIB)
else()
  set(MLD_PREFIX_LIB "${MLD_PREFIX}/lib")
endif()

# ---- DuckDB ------------------------------------------------------------------------------
find_path(MLD_DUCKDB_INCLUDE_DIR duckdb.h)
find_library(MLD_DUCKDB_LIBRARY duckdb)
if(NOT MLD_DUCKDB_INCLUDE_DIR OR NOT MLD_DUCKDB_LIBRARY)
  message(FATAL_ERROR "DuckDB (duckdb.h and libduckdb) not found: ${mld_run_setup}")
endif()
cmake_path(GET MLD_DUCKDB_LIBRARY PARENT_PATH MLD_DUCKDB_DIR)
add_library(mld::duckdb SHARED IMPORTED)
set_target_properties(mld::duckdb PROPERTIES
  IMPORTED_LOCATION "${MLD_DUCKDB_LIBRARY}"
  IMPORTED_NO_SONAME ON
  INTERFACE_INCLUDE_DIRECTORIES "${MLD_DUCKDB_INCLUDE_DIR}")

# ---- ONNX's protobuf schema --------------------------------------------------------------
find_file(MLD_ONNX_PROTO onnx/onnx.proto PATH_SUFFIXES include)
find_program(MLD_PROTOC_C NAMES protoc-c)
if(NOT MLD_ONNX_PROTO)
  message(FATAL_ERROR "onnx/onnx.proto not found: ${mld_run_setup}")
endif()
if(NOT MLD_PROTOC_C)
  message(FATAL_ERROR "protoc-c not found: run tools/setup, or install protobuf-c-compiler")
endif()
cmake_path(GET MLD_ONNX_PROTO PARENT_PATH mld_onnx_dir)
set(mld_generated "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${mld_generated}/onnx")
add_custom_command(
  OUTPUT "${mld_generated}/onnx/onnx.pb-c.c" "${mld_generated}/onnx/onnx.pb-c.h"
  COMMAND "${MLD_PROTOC_C}" "--proto_path=${mld_onnx_dir}"
          "--c_out=${mld_generated}/onnx" onnx.proto
  DEPENDS "${MLD_ONNX_PROTO}"
  COMMENT "Compiling onnx.proto")
add_library(mld_onnx_proto STATIC "${mld_generated}/onnx/onnx.pb-c.c"
  "${mld_generated}/onnx/onnx.pb-c.h")
target_compile_options(mld_onnx_proto PRIVATE -w)
target_include_directories(mld_onnx_proto SYSTEM PUBLIC "${mld_generated}")
target_link_libraries(mld_onnx_proto PUBLIC PkgConfig::protobuf_c)
