# Language level, warnings, and one include path for all floors: <clout/FLOOR/header.hpp> is FLOOR/header.hpp.

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

include(GNUInstallDirs)

set(clout_include_dir ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${clout_include_dir}/clout)
foreach(floor kernels engine models host)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${floor} ${clout_include_dir}/clout/${floor} SYMBOLIC)
endforeach()

add_library(clout_headers INTERFACE)
target_include_directories(clout_headers INTERFACE $<BUILD_INTERFACE:${clout_include_dir}>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(clout_headers INTERFACE cxx_std_20)
set_target_properties(clout_headers PROPERTIES EXPORT_NAME headers)

set(clout_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                   -Wno-restrict)  # g++ 12 reports it falsely on string concatenation (GCC bug 105651)

# Machine flags of the CPU backend's own files. Contraction is allowed: the CPU backend's bits are its own.
set(CLOUT_MARCH "" CACHE STRING "Processor to compile the CPU backend for, as -march takes it; before CLOUT_NATIVE")
set(clout_machine_flags)
if(CLOUT_MARCH)
  set(clout_machine_flags -march=${CLOUT_MARCH})
elseif(CLOUT_NATIVE)
  set(clout_machine_flags -march=native)
endif()

function(clout_add_static_library name)
  add_library(clout_${name} STATIC ${ARGN})
  target_link_libraries(clout_${name} PUBLIC clout_headers)
  target_compile_options(clout_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${clout_warnings}>)
endfunction()

# clout_add_library(NAME SOURCES...): a static library clout_NAME, also known as clout::NAME.
function(clout_add_library name)
  clout_add_static_library(${name} ${ARGN})
  add_library(clout::${name} ALIAS clout_${name})
  set_target_properties(clout_${name} PROPERTIES EXPORT_NAME ${name})
endfunction()

# clout_add_floor(NAME SOURCES...): a floor above kernels. The static library clout_NAME sees kernels through headers
# alone, so that a test can link it with other kernels (tests/simt). What a user links, clout::NAME, brings
# clout_kernels with it.
function(clout_add_floor name)
  clout_add_static_library(${name} ${ARGN})
  set_target_properties(clout_${name} PROPERTIES EXPORT_NAME ${name}_core)
  add_library(clout_${name}_with_kernels INTERFACE)
  target_link_libraries(clout_${name}_with_kernels INTERFACE clout_${name} clout_kernels)
  set_target_properties(clout_${name}_with_kernels PROPERTIES EXPORT_NAME ${name})
  add_library(clout::${name} ALIAS clout_${name}_with_kernels)
endfunction()
