# cmake --install and find_package(clout). The package is relocatable: no path of the building machine is in it.
include(CMakePackageConfigHelpers)

set(clout_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/clout)
set(clout_share_dir ${CMAKE_INSTALL_DATADIR}/clout)

# The program, its data, the scripts that draw its figures and write its report, and the published numbers.
if(TARGET clout)
  # CUDA's libraries often lie where the loader does not look by itself.
  if(NOT CMAKE_INSTALL_RPATH)
    set_target_properties(clout PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  endif()
  install(TARGETS clout RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  foreach(data mnist models enron1-spam hospital-readmission cifar10-dog-ship)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/data/${data} DESTINATION ${clout_share_dir}/data)
  endforeach()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/host/figures DESTINATION ${clout_share_dir} FILES_MATCHING PATTERN "*.py" PATTERN "*.json")
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${clout_share_dir})

# The library: public headers of three floors (a backend's own are in kernels/cpu and kernels/cuda), and the targets.
foreach(floor kernels engine models)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${floor}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/clout/${floor}
          FILES_MATCHING PATTERN "*.hpp" PATTERN cpu EXCLUDE PATTERN cuda EXCLUDE)
endforeach()
install(TARGETS clout_headers clout_openblas clout_cpu_backend clout_kernels clout_engine clout_engine_with_kernels
                clout_models clout_models_with_kernels
        EXPORT cloutTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT cloutTargets NAMESPACE clout:: DESTINATION ${clout_package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/cloutConfig.cmake.in ${PROJECT_BINARY_DIR}/cloutConfig.cmake
                              INSTALL_DESTINATION ${clout_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cloutConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cloutConfig.cmake ${PROJECT_BINARY_DIR}/cloutConfigVersion.cmake
        DESTINATION ${clout_package_dir})
