#include "upscale.h"
int main() { return 0; }
