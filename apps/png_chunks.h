// Metadata of PNG files: the ancillary chunks that are understood or passed through (PNG 3rd edition, 11.3).
#pragma once

#include <string_view>

#include "apps/metadata.h"

namespace ups::apps {

// Chunks with a wrong CRC or a damaged profile are left out. Never fails.
Metadata png_metadata(std::string_view file);

// The chunks to write behind IHDR, in a permitted order.
std::vector<Metadata::Chunk> png_chunks_of(const Metadata& metadata);

}  // namespace ups::apps
