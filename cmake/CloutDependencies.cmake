# What is linked from outside. OpenBLAS carries LAPACK; the OpenMP flavour is asked for by its folder, since the plain
# name may lead to the pthread flavour, whose threads would fight with ours.

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)

if(NOT TARGET clout::openblas)
  find_library(CLOUT_OPENBLAS NAMES openblas PATH_SUFFIXES openblas-openmp)
  find_path(CLOUT_OPENBLAS_INCLUDE NAMES cblas.h PATH_SUFFIXES openblas-openmp)
  find_path(CLOUT_LAPACK_INCLUDE NAMES lapack.h)
  if(NOT CLOUT_OPENBLAS OR NOT CLOUT_OPENBLAS_INCLUDE OR NOT CLOUT_LAPACK_INCLUDE)
    message(FATAL_ERROR "OpenBLAS (OpenMP flavour) with cblas.h and lapack.h was not found: run scripts/setup, or "
                        "install libopenblas-openmp-dev and liblapacke-dev.")
  endif()
  add_library(clout_openblas INTERFACE)
  add_library(clout::openblas ALIAS clout_openblas)
  set_target_properties(clout_openblas PROPERTIES EXPORT_NAME openblas)
  # An installed package looks for its own OpenBLAS (cloutConfig.cmake): the path here is this machine's.
  target_link_libraries(clout_openblas INTERFACE $<BUILD_INTERFACE:${CLOUT_OPENBLAS}>)
  target_include_directories(clout_openblas SYSTEM INTERFACE
                             "$<BUILD_INTERFACE:${CLOUT_OPENBLAS_INCLUDE};${CLOUT_LAPACK_INCLUDE}>")
endif()
