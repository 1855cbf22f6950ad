# Decides whether the CUDA backend is built, and keeps the reason in words (clout_cuda_state) for the summary and for
# `clout info`.

set(clout_has_cuda OFF)
if(CLOUT_CUDA STREQUAL "OFF")
  set(clout_cuda_state "not built: CLOUT_CUDA is OFF")
else()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    # Must stand before enable_language: it is frozen there.
    set(CMAKE_CUDA_ARCHITECTURES ${CLOUT_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    # CMake 3.25 refuses C++20 for nvcc because it does not know the flag.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    find_package(CUDAToolkit REQUIRED)
    set(clout_has_cuda ON)
    set(clout_cuda_state "built with CUDA ${CUDAToolkit_VERSION} for sm_${CLOUT_CUDA_ARCHITECTURES}")
  elseif(CLOUT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CLOUT_CUDA is ON, but no CUDA compiler (nvcc) was found: install the CUDA toolkit, put nvcc on "
                        "PATH, or set CMAKE_CUDA_COMPILER.")
  else()
    set(clout_cuda_state "not built: no CUDA compiler (nvcc) was found when clout was configured")
  endif()
endif()
