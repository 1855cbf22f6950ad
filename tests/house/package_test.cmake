# Installs the build, moves what was installed elsewhere, and builds and runs a consumer project against it there.
# Usage: cmake -DSOURCE=… -DBUILD=… -DWORK=… -DGENERATOR=… -DCOMPILER=… -P package_test.cmake

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(JOIN " " command ${ARGV})
    message(FATAL_ERROR "${command}\nended with ${result}:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/moved)

# The package must not know where it was built, or where it was first installed.
file(GLOB_RECURSE package ${WORK}/moved/*/cmake/clout/*.cmake)
if(NOT package)
  message(FATAL_ERROR "nothing was installed in lib/cmake/clout")
endif()
foreach(file ${package})
  file(READ ${file} text)
  foreach(path ${SOURCE} ${BUILD} ${WORK}/first /usr/lib)
    # As a path of its own: a source folder /clout is not what lib/cmake/clout speaks of.
    string(REGEX REPLACE "([][+.*()^$?|])" "\\\\\\1" literal "${path}")
    if("${text}" MATCHES "(^|[^A-Za-z0-9_./}-])${literal}(/|[^A-Za-z0-9_.-]|$)")
      message(FATAL_ERROR "${file} holds the path ${path}")
    endif()
  endforeach()
endforeach()

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/house/consumer -B ${WORK}/consumer -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK}/moved
    -DEXAMPLES=${SOURCE}/examples)
run(${CMAKE_COMMAND} --build ${WORK}/consumer)
foreach(program consumer own_model headers)
  run(${WORK}/consumer/${program})
endforeach()

if(EXISTS ${WORK}/moved/bin/clout)
  run(${WORK}/moved/bin/clout --help)
endif()
