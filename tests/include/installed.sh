#!/bin/sh
# installed.sh SOURCE BUILD GENERATOR: programs in C find the installed library, by CMake and by pkg-config, also
# where its tree was moved. Projects that take the source get the library alone, and nothing is fetched for them.
set -eu
source=$1 build=$2 generator=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --component development --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/moved"

mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(embedding LANGUAGES C)
find_package(upscale 0.1 REQUIRED)
add_executable(program $source/tests/include/c99.c)
target_link_libraries(program PRIVATE upscale::upscale)
END
cmake -G "$generator" -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/moved" >"$work/log" 2>&1 ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/project/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/project/build/program"

PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name upscale.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # several arguments
cc -std=c99 "$source/tests/include/c99.c" $(pkg-config --cflags --libs upscale) -o "$work/program"
"$work/program"

mkdir "$work/whole"
cat >"$work/whole/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(embedding LANGUAGES C CXX)
set(UPS_CUDA OFF CACHE STRING "")
add_subdirectory($source upscale EXCLUDE_FROM_ALL)
if(TARGET upscale OR CMAKE_BUILD_TYPE)
  message(FATAL_ERROR "the command line tool, or a build type, came along")
endif()
add_executable(program $source/tests/include/c99.c)
target_link_libraries(program PRIVATE upscale::upscale)
END
cmake -G "$generator" -S "$work/whole" -B "$work/whole/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
test ! -e "$work/whole/build/upscale/embed"
