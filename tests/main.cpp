// The Catch2 main of every test binary. Run with --rng-seed N to repeat a failing random draw.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
