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

set(clout_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)

# Machine flags of the CPU backend's own files. Contraction is allowed: the CPU backend's bits are its own.
set(clout_machine_flags)
if(CLOUT_NATIVE)
  set(clout_machine_flags -march=native)
endif()

# clout_add_library(NAME FLOOR SOURCES...): a static library clout_NAME, also known as clout::NAME.
function(clout_add_library name)
  add_library(clout_${name} STATIC ${ARGN})
  add_library(clout::${name} ALIAS clout_${name})
  set_target_properties(clout_${name} PROPERTIES EXPORT_NAME ${name})
  target_link_libraries(clout_${name} PUBLIC clout_headers)
  target_compile_options(clout_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${clout_warnings}>)
endfunction()
