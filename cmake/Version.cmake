# mld_version.h: MLD_VERSION and MLD_GIT_COMMIT. The commit is looked up at every build,
# but the header is only rewritten when it changed, so nothing is rebuilt for nothing.
# Included by CMakeLists.txt it makes the target; run with -P it writes the header.
if(CMAKE_SCRIPT_MODE_FILE)
  set(MLD_GIT_COMMIT "unknown")
  if(EXISTS "${SOURCE_DIR}/.git")
    execute_process(
      COMMAND git -C "${SOURCE_DIR}" describe --always --dirty --abbrev=12 --exclude=*
      OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
      ERROR_QUIET RESULT_VARIABLE failed)
    if(failed EQUAL 0)
      set(MLD_GIT_COMMIT "${described}")
    endif()
  endif()
  configure_file("${CMAKE_CURRENT_LIST_DIR}/mld_version.h.in" "${OUTPUT}" @ONLY)
  return()
endif()

add_custom_target(mld_version
  COMMAND "${CMAKE_COMMAND}" "-DSOURCE_DIR=${CMAKE_SOURCE_DIR}"
          "-DMLD_VERSION=${PROJECT_VERSION}"
          "-DOUTPUT=${CMAKE_BINARY_DIR}/generated/mld_version.h"
          -P "${CMAKE_CURRENT_LIST_DIR}/Version.cmake"
  BYPRODUCTS "${CMAKE_BINARY_DIR}/generated/mld_version.h"
  COMMENT "Looking up the git commit")
