// One function per file of this folder; table.cpp calls them in the order help shows within a group.
#pragma once

#include "apps/options/option.h"

namespace ups::apps {

void add_file_options(OptionTable& table);      // inputs and outputs
void add_model_options(OptionTable& table);     // which network
void add_size_options(OptionTable& table);      // how large the result is
void add_step_options(OptionTable& table);      // how it gets there
void add_loop_options(OptionTable& table);      // what several steps do beside
void add_finish_options(OptionTable& table);    // between the network and the file
void add_picture_options(OptionTable& table);   // what the picture is
void add_format_options(OptionTable& table);    // what files hold
void add_batch_options(OptionTable& table);     // many files
void add_resource_options(OptionTable& table);  // tiles, memory, processors
void add_message_options(OptionTable& table);   // what is printed

}  // namespace ups::apps
