// What is read and what is written.
#include "apps/options/registry.h"

namespace ups::apps {

void add_file_options(OptionTable& table) {
  table.add({.names = "-i,--input",
             .argument = "PATH",
             .group = Group::files,
             .level = Level::basic,
             .help = "input file, folder, \"pattern*\" or @LIST, may be repeated",
             .details =
                 "@LIST is a text file of paths, one a line (@- the standard input). In a pattern ** is any "
                 "number of folders: \"mod/**/*_n.png\". A name that exists is taken as it is, whatever "
                 "characters it has. - is the standard input.",
             .set = [](Options& o, const Value& v) { o.inputs.push_back(v.text); },
             .repeats = true,
             .completes = Completes::file});
  table.add({.names = "-o,--output",
             .argument = "PATH",
             .group = Group::files,
             .level = Level::basic,
             .help = "output file or folder; an existing file is replaced",
             .details =
                 "Without -o the last name on the command line is the output. Folders are made where "
                 "they are missing. A result takes its name only when it is complete. - is the standard "
                 "output, for one picture; messages then go to the standard error.",
             .set = [](Options& o, const Value& v) { o.output = v.text; },
             .completes = Completes::file});
  table.add({.names = "-f,--format",
             .argument = "EXT",
             .group = Group::files,
             .level = Level::basic,
             .help =
                 "png, jpg, webp, tif, avif, jxl, bmp, tga, ppm, pgm or pfm, in a folder (png) or where OUT "
                 "does not say",
             .details = "The extension of a file OUT comes first. All of these and GIF are read, "
                        "recognised by their content. `upscale formats` tells which are in this build.",
             .set =
                 [](Options& o, const Value& v) {
                   o.format = v.text[0] == '.' ? v.text.substr(1) : v.text;
                   if (!can_write(format_of_extension(o.format))) {
                     fail(kUsage, "--format: got '", v.text, "', expected one of ", writable_extensions());
                   }
                 },
             .choices = {"png", "jpg", "webp", "tif", "avif", "jxl", "bmp", "tga", "ppm", "pgm", "pfm"}});
}

}  // namespace ups::apps
