# cmake --install and find_package(clout).
