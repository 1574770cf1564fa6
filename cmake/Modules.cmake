# One static library per folder of src/. The libraries refer to each other in both
# directions (core calls backends through a generated table), so programs link all of them
# as one group, mld_all.
set(mld_modules "" CACHE INTERNAL "")

function(mld_module_target target sources)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "DEPENDS")
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} PUBLIC
    "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include" "${CMAKE_BINARY_DIR}/generated")
  target_compile_definitions(${target} PRIVATE "MLD_PREFIX_LIB=\"${MLD_PREFIX_LIB}\"")
  target_link_libraries(${target} PRIVATE mld_flags PUBLIC ${arg_DEPENDS})
  add_dependencies(${target} mld_version)
  set(mld_modules "${mld_modules};${target}" CACHE INTERNAL "")
endfunction()

# mld_add_module(NAME [EXCLUDE file...] [DEPENDS target...]): src/NAME/*.c -> mld_NAME.
function(mld_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCLUDE;DEPENDS")
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/${name}/*.c")
  foreach(file IN LISTS arg_EXCLUDE)
    list(REMOVE_ITEM sources "${CMAKE_SOURCE_DIR}/src/${name}/${file}")
  endforeach()
  if(sources)
    mld_module_target(mld_${name} "${sources}" DEPENDS ${arg_DEPENDS})
  endif()
endfunction()

# mld_add_backends(NAME...): src/backends/NAME/*.c -> mld_backend_NAME, and the table that
# core/registry.h declares, in the order given.
function(mld_add_backends)
  set(declarations "")
  set(entries "")
  set(count 0)
  foreach(name IN LISTS ARGN)
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/backends/${name}/*.c")
    if(NOT sources)
      message(STATUS "backend '${name}': no sources in src/backends/${name}, left out")
      continue()
    endif()
    mld_module_target(mld_backend_${name} "${sources}"
      DEPENDS ${MLD_BACKEND_DEPENDS_${name}})
    string(APPEND declarations
      "const struct mld_backend_ops *mld_backend_entry_${name}(void);\n")
    string(APPEND entries "    mld_backend_entry_${name},\n")
    math(EXPR count "${count} + 1")
  endforeach()
  set(MLD_BACKEND_DECLARATIONS "${declarations}")
  set(MLD_BACKEND_ENTRIES "${entries}")
  set(MLD_BACKEND_COUNT "${count}")
  configure_file("${CMAKE_SOURCE_DIR}/cmake/backend_table.c.in"
    "${CMAKE_BINARY_DIR}/generated/backend_table.c" @ONLY)
  mld_module_target(mld_backend_table "${CMAKE_BINARY_DIR}/generated/backend_table.c")
endfunction()

# Libraries that a backend's folder needs at build time.
set(MLD_BACKEND_DEPENDS_ort mld::ort_header ${CMAKE_DL_LIBS})

function(mld_finish_modules)
  add_library(mld_all INTERFACE)
  list(REMOVE_ITEM mld_modules "")
  list(JOIN mld_modules "," group)
  target_link_libraries(mld_all INTERFACE "$<LINK_GROUP:RESCAN,${group}>")
endfunction()
