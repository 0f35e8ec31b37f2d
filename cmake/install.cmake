# What `cmake --install` puts where, and how other projects find the library: find_package(upscale) and pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(UPS_APPS)
  install(TARGETS upscale RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS upscale_lib ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES include/upscale.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

# The library is static, so that what it needs is always needed, in programs in C too: the C++ runtime as well.
set(UPS_LINK_LIBRARIES mbedcrypto)
set(UPS_LINK_FOLDER "")
if(UPS_HAVE_CUDA)
  set(UPS_LINK_FOLDER ${CUDAToolkit_LIBRARY_DIR})
  list(APPEND UPS_LINK_LIBRARIES cudart_static dl rt)
endif()
set(implicit ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(FILTER implicit INCLUDE REGEX "^(stdc\\+\\+|c\\+\\+|m)$")
list(REMOVE_DUPLICATES implicit)
list(APPEND UPS_LINK_LIBRARIES ${implicit})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/upscale)
configure_package_config_file(cmake/upscaleConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/upscaleConfig.cmake
                              INSTALL_DESTINATION ${package}
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/upscaleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/upscaleConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/upscaleConfigVersion.cmake
        DESTINATION ${package} COMPONENT development)

# Paths from the .pc file itself, so that the tree may be moved.
file(RELATIVE_PATH UPS_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
list(TRANSFORM UPS_LINK_LIBRARIES PREPEND "-l" OUTPUT_VARIABLE UPS_PC_LIBRARIES)
list(JOIN UPS_PC_LIBRARIES " " UPS_PC_LIBRARIES)
if(UPS_LINK_FOLDER)
  set(UPS_PC_LIBRARIES "-L${UPS_LINK_FOLDER} ${UPS_PC_LIBRARIES}")
endif()
configure_file(cmake/upscale.pc.in upscale.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/upscale.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
